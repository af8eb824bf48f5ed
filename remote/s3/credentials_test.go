package s3

import (
	"crypto/sha1"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/remote"
)

// signedBy finds whose signature a request has.
var signedBy = regexp.MustCompile(`Credential=([^/]+)/`)

// gatekeeper is an S3 server that has an empty bucket for some keys, and tells apart whom it knows.
type gatekeeper struct {
	*httptest.Server
	mu     sync.Mutex
	known  map[string]string // session token by access key
	signed []string          // access keys, in the order of requests
}

func newGatekeeper(t *testing.T, keys ...string) *gatekeeper {
	g := &gatekeeper{known: map[string]string{}}
	g.let(keys...)
	g.Server = httptest.NewServer(g)
	t.Cleanup(g.Close)
	return g
}

// let makes each of the keys known, with "KEY-token" as its token if it begins with "T".
func (g *gatekeeper) let(keys ...string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, key := range keys {
		g.known[key] = ""
		if strings.HasPrefix(key, "T") {
			g.known[key] = key + "-token"
		}
	}
}

func (g *gatekeeper) forget(key string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.known, key)
}

func (g *gatekeeper) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	found := signedBy.FindStringSubmatch(r.Header.Get("Authorization"))
	if found == nil {
		refusing(403, "AccessDenied", "", "")(w, r)
		return
	}
	g.mu.Lock()
	token, known := g.known[found[1]]
	g.signed = append(g.signed, found[1])
	g.mu.Unlock()
	switch {
	case !known:
		refusing(403, "InvalidAccessKeyId", "", "")(w, r)
	case r.Header.Get("X-Amz-Security-Token") != token:
		refusing(400, "InvalidToken", "", "")(w, r)
	default:
		w.Header().Set("Content-Type", "application/xml")
		fmt.Fprint(w, `<ListBucketResult><Name>bucket</Name></ListBucketResult>`)
	}
}

// shared makes the two files of AWS's tools, in a folder of their own, and options that have no keys but by them.
func shared(t *testing.T, server *gatekeeper, config, credentials string) Options {
	t.Helper()
	dir := t.TempDir()
	opts := Options{
		Bucket: "bucket", Endpoint: server.URL,
		ConfigFile: filepath.Join(dir, "config"), CredentialsFile: filepath.Join(dir, "credentials"),
	}
	write(t, opts.ConfigFile, config)
	write(t, opts.CredentialsFile, credentials)
	return opts
}

func write(t *testing.T, name, content string) {
	t.Helper()
	if content == "" {
		return
	}
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func keysOf(access string) string {
	s := "aws_access_key_id = " + access + "\naws_secret_access_key = secret\n"
	if strings.HasPrefix(access, "T") {
		s += "aws_session_token = " + access + "-token\n"
	}
	return s
}

// awsAnswers answers as the services of AWS do that give out temporary credentials, for an hour.
func awsAnswers(t *testing.T, access string) *httptest.Server {
	ends := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		switch {
		case r.Form.Get("Action") != "":
			type credentials struct {
				AccessKeyID                               string `xml:"AccessKeyId"`
				SecretAccessKey, SessionToken, Expiration string
			}
			type result struct{ Credentials credentials }
			action := r.Form.Get("Action")
			w.Header().Set("Content-Type", "text/xml")
			fmt.Fprintf(w, "<%[1]sResponse>", action)
			_ = xml.NewEncoder(w).EncodeElement(result{credentials{access, "secret", access + "-token", ends}},
				xml.StartElement{Name: xml.Name{Local: action + "Result"}})
			fmt.Fprintf(w, "</%[1]sResponse>", action)
		case r.URL.Path == "/federation/credentials":
			fmt.Fprintf(w, `{"roleCredentials": {"accessKeyId": %q, "secretAccessKey": "secret", "sessionToken": "%s-token", "expiration": %d}}`,
				access, access, time.Now().Add(time.Hour).UnixMilli())
		case r.URL.Path == "/latest/api/token":
			w.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "21600")
			fmt.Fprint(w, "a token of the second kind")
		case strings.HasSuffix(r.URL.Path, "/security-credentials/"):
			fmt.Fprint(w, "role")
		case strings.HasSuffix(r.URL.Path, "/security-credentials/role"), r.URL.Path == "/container":
			fmt.Fprintf(w, `{"Code": "Success", "AccessKeyId": %q, "SecretAccessKey": "secret", "Token": "%s-token", "Expiration": %q}`,
				access, access, ends)
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(server.Close)
	return server
}

// TestCredentialsAreFound goes through the places that credentials come from.
func TestCredentialsAreFound(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	write(t, token, "a web identity")
	process := filepath.Join(t.TempDir(), "process")
	write(t, process, "#!/bin/sh\necho '{\"Version\": 1, \"AccessKeyId\": \"TPROC\", \"SecretAccessKey\": \"secret\", \"SessionToken\": \"TPROC-token\"}'\n")
	if err := os.Chmod(process, 0o700); err != nil {
		t.Fatal(err)
	}
	home, start := t.TempDir(), "https://sso.example/start"
	cache := filepath.Join(home, ".aws", "sso", "cache")
	if err := os.MkdirAll(cache, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(cache, fmt.Sprintf("%x.json", sha1.Sum([]byte(start)))),
		fmt.Sprintf(`{"accessToken": "logged in", "expiresAt": %q}`, time.Now().Add(time.Hour).UTC().Format(time.RFC3339)))
	sso := "[profile other]\nsso_start_url = " + start + "\nsso_region = us-east-1\nsso_account_id = 1\nsso_role_name = r\n"
	for _, c := range []struct {
		name, config, credentials, profile string
		env                                func(aws string) []string
		want                               string
	}{
		{"the default profile", "", "[default]\n" + keysOf("DEFAULT"), "", nil, "DEFAULT"},
		{"a profile", "", "[default]\n" + keysOf("DEFAULT") + "[other]\n" + keysOf("TOTHER"), "other", nil, "TOTHER"},
		{"a profile of the config file", "[profile other]\n" + keysOf("OTHER"), "[default]\n" + keysOf("DEFAULT"), "other", nil, "OTHER"},
		{"a profile that the environment names", "", "[other]\n" + keysOf("OTHER"), "",
			func(string) []string { return []string{"AWS_PROFILE=other"} }, "OTHER"},
		{"a program", "[profile other]\ncredential_process = " + process + "\n", "", "other", nil, "TPROC"},
		{"a role of another profile", "[profile other]\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = base\n", "[base]\n" + keysOf("BASE"), "other",
			func(aws string) []string { return []string{"AWS_ENDPOINT_URL_STS=" + aws} }, "TAWS"},
		{"a web identity", "", "[default]\n" + keysOf("DEFAULT"), "", func(aws string) []string {
			return []string{"AWS_ENDPOINT_URL_STS=" + aws, "AWS_WEB_IDENTITY_TOKEN_FILE=" + token, "AWS_ROLE_ARN=arn:aws:iam::1:role/r"}
		}, "TAWS"},
		{"aws sso login", sso, "", "other", func(aws string) []string { return []string{"HOME=" + home, "AWS_ENDPOINT_URL_SSO=" + aws} }, "TAWS"},
		{"a container's role", "", "", "", func(aws string) []string {
			return []string{"AWS_CONTAINER_CREDENTIALS_FULL_URI=" + aws + "/container"}
		}, "TAWS"},
		{"a machine's role", "[default]\nregion = eu-central-1\n", "", "", func(aws string) []string {
			return []string{"AWS_EC2_METADATA_DISABLED=false", "AWS_EC2_METADATA_SERVICE_ENDPOINT=" + aws}
		}, "TAWS"},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := newGatekeeper(t, "DEFAULT", "TOTHER", "OTHER", "TPROC", "TAWS")
			if c.env != nil {
				for _, setting := range c.env(awsAnswers(t, "TAWS").URL) {
					name, value, _ := strings.Cut(setting, "=")
					t.Setenv(name, value)
				}
			}
			opts := shared(t, server, c.config, c.credentials)
			opts.Profile = c.profile
			store := mustNew(t, opts)
			for range 2 {
				if err := store.Check(t.Context()); err != nil {
					t.Error(err)
				}
			}
			if len(server.signed) != 2 || server.signed[0] != c.want || server.signed[1] != c.want {
				t.Errorf("signed by %q, want %s twice", server.signed, c.want)
			}
			link, err := store.Link(t.Context(), remote.LinkRequest{Method: "GET", Key: key, Expires: 24 * time.Hour})
			if left := time.Until(link.Expires); err != nil || c.want == "TAWS" && left > time.Hour {
				t.Errorf("a link for a day of credentials for an hour is good for %v, %v", left, err)
			}
		})
	}
}

func TestRegionOfAProfile(t *testing.T) {
	t.Parallel()
	server := newGatekeeper(t)
	for want, region := range map[string]string{"eu-central-1": "", "eu-west-1": "eu-west-1"} {
		opts := shared(t, server, "[default]\nregion = eu-central-1\n", "[default]\n"+keysOf("DEFAULT"))
		opts.Region, opts.Endpoint = region, ""
		if store := mustNew(t, opts); store.region != want || !strings.Contains(store.Info().Endpoint, want) {
			t.Errorf("region %s at %s, want %s", store.region, store.Info().Endpoint, want)
		}
	}
}

// Nobody gives out credentials: that is found out soon, and said.
func TestNoRoleToBeHad(t *testing.T) {
	var asked atomic.Int32
	hold := make(chan struct{})
	silent := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		asked.Add(1)
		<-hold
	}))
	t.Cleanup(silent.Close)
	t.Cleanup(func() { close(hold) })
	t.Setenv("AWS_EC2_METADATA_DISABLED", "false")
	t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", silent.URL)
	opts := shared(t, newGatekeeper(t), "", "")
	start := time.Now()
	_, err := New(opts)
	if err == nil || !strings.Contains(err.Error(), "AWS_ACCESS_KEY_ID") {
		t.Errorf("got %v, want what to set", err)
	}
	if took := time.Since(start); took > 20*roleTimeout || asked.Load() == 0 {
		t.Errorf("it took %v and %d questions", took, asked.Load())
	}
}

func TestCredentialsAreReadAgain(t *testing.T) {
	t.Parallel()
	server := newGatekeeper(t, "FIRST", "SECOND")
	opts := shared(t, server, "", "[default]\n"+keysOf("FIRST"))
	store := mustNew(t, opts)
	check := func(want string) {
		t.Helper()
		if err := store.Check(t.Context()); err != nil || server.signed[len(server.signed)-1] != want {
			t.Errorf("%v, signed by %s, want %s", err, server.signed[len(server.signed)-1], want)
		}
	}
	check("FIRST")
	before := store.CredentialsSeen()
	if again := store.CredentialsSeen(); again != before {
		t.Errorf("%q and %q without a change", before, again)
	}
	write(t, opts.CredentialsFile, "[default]\naws_access_key_id = SEC") // in the middle of being written
	check("FIRST")
	write(t, opts.CredentialsFile, "[default]\n"+keysOf("SECOND"))
	if after := store.CredentialsSeen(); after == before || strings.Contains(after, "secret") {
		t.Errorf("after a change it is %q", after)
	}
	check("SECOND")
	if err := os.Remove(opts.CredentialsFile); err != nil {
		t.Fatal(err)
	}
	check("SECOND")
}

// What a server will not take any more is got anew, also where it does not end by its own account.
func TestRefusedCredentialsAreGotAnew(t *testing.T) {
	t.Parallel()
	server := newGatekeeper(t, "TFIRST")
	keys := filepath.Join(t.TempDir(), "keys")
	give := func(access string) {
		write(t, keys, fmt.Sprintf(`{"Version": 1, "AccessKeyId": %q, "SecretAccessKey": "secret", "SessionToken": "%s-token"}`, access, access))
	}
	give("TFIRST")
	store := mustNew(t, shared(t, server, "[default]\ncredential_process = cat "+keys+"\n", ""))
	if err := store.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	server.forget("TFIRST")
	server.let("TSECOND")
	give("TSECOND")
	wantPause(t, store.Check(t.Context()), codestory.RemoteDenied, "AWS_ACCESS_KEY_ID")
	if err := store.Check(t.Context()); err != nil {
		t.Errorf("after a refusal: %v", err)
	}
}

func TestCredentialsThatCannotBeHad(t *testing.T) {
	t.Parallel()
	server := newGatekeeper(t)
	opts := shared(t, server, "[default]\ncredential_process = false\n", "")
	store := mustNew(t, opts)
	wantPause(t, store.Check(t.Context()), codestory.RemoteDenied, "no credentials")
	_, err := store.Link(t.Context(), remote.LinkRequest{Method: "GET", Key: key, Expires: time.Hour})
	wantPause(t, err, codestory.RemoteDenied, "no credentials")
	if len(server.signed) != 0 {
		t.Errorf("requests signed by %q", server.signed)
	}
}
