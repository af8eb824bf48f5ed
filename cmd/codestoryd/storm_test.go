package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/remote/remotetest"
)

// These tests run the real program against a store that refuses everything for a while.

// profile is AWS's shared file with one profile, and the settings that name it.
type profile struct {
	t    *testing.T
	file string
}

func newProfile(t *testing.T, server *remotetest.MinIO) *profile {
	p := &profile{t: t, file: filepath.Join(t.TempDir(), "credentials")}
	p.write(server.AccessKey, server.SecretKey)
	return p
}

func (p *profile) env(endpoint, bucket string) []string {
	return []string{"S3_BUCKET=" + bucket, "S3_ENDPOINT_URL=" + endpoint, "AWS_PROFILE=stories",
		"AWS_SHARED_CREDENTIALS_FILE=" + p.file}
}

func (p *profile) write(access, secret string) {
	p.t.Helper()
	text := fmt.Sprintf("[stories]\naws_access_key_id = %s\naws_secret_access_key = %s\n", access, secret)
	if err := os.WriteFile(p.file, []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// Keys that are wrong are put right in AWS's shared file, and the daemon goes on by itself.
func TestCredentialsFileIsPutRight(t *testing.T) {
	t.Parallel()
	server := remotetest.StartMinIO(t, remotetest.MinIOOptions{})
	bucket := server.Bucket(t)
	keys := newProfile(t, server)
	keys.write(server.AccessKey, "wrong-secret")
	m := newMachine(t, keys.env(server.Endpoint, bucket)...)
	for i := range 20 {
		m.write(codestory.ChapterPath(story, i+1), []byte("chapter"))
	}
	m.start()
	m.await("denied", func(s codestory.Status) bool {
		return s.Remote.State == codestory.RemoteDenied && s.Queue.Queued == 20
	})
	keys.write(server.AccessKey, server.SecretKey)
	m.awaitSynced(20)
	sameObjects(t, m, server, bucket)
}

// fault is what is wrong with a store, for as long as a test wants.
type fault struct {
	state codestory.RemoteState
	words string // that the message has
	set   func(policy *remotetest.Policy, proxy *remotetest.Proxy, bucket string)
}

// refuses answers as an S3 server does that takes nothing for that reason.
func refuses(status int, code string, off time.Duration, which func(*http.Request) bool) func(*remotetest.Policy, *remotetest.Proxy, string) {
	return func(_ *remotetest.Policy, proxy *remotetest.Proxy, _ string) {
		proxy.Before(func(w http.ResponseWriter, r *http.Request) bool {
			if !which(r) {
				return false
			}
			w.Header().Set("Content-Type", "application/xml")
			w.Header().Set("Date", time.Now().Add(off).UTC().Format(http.TimeFormat))
			w.WriteHeader(status)
			fmt.Fprintf(w, "<Error><Code>%s</Code><Message>no</Message><RequestId>4711</RequestId></Error>", code)
			return true
		})
	}
}

func denies(which func(action string) bool) func(*remotetest.Policy, *remotetest.Proxy, string) {
	return func(policy *remotetest.Policy, _ *remotetest.Proxy, bucket string) {
		policy.Deny(func(action, asked string) bool { return asked == bucket && which(action) })
	}
}

func isAny(*http.Request) bool   { return true }
func isPut(r *http.Request) bool { return r.Method == http.MethodPut }

// However many files wait, a store that refuses them hears of few requests; all are uploaded once it does not, without
// a restart, and none was given up.
func TestStoreThatRefusesHearsOfFewRequests(t *testing.T) {
	t.Parallel()
	const files = 300
	for name, f := range map[string]fault{
		"a policy that denies uploads": {codestory.RemoteDenied, "policies", denies(func(action string) bool { return action == "s3:PutObject" })},
		"a policy that denies all":     {codestory.RemoteDenied, "policies", denies(func(string) bool { return true })},
		"a token that has ended":       {codestory.RemoteDenied, "AWS_SESSION_TOKEN", refuses(400, "ExpiredToken", 0, isAny)},
		"a clock that is off":          {codestory.RemoteUnavailable, "seconds behind", refuses(403, "RequestTimeTooSkewed", 20*time.Minute, isAny)},
		"a store that is full":         {codestory.RemoteFull, "no room", refuses(507, "XMinioStorageFull", 0, isPut)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			policy := remotetest.NewPolicy(t)
			server := remotetest.StartMinIO(t, remotetest.MinIOOptions{Env: policy.Env()})
			policy.Await(t, server)
			bucket := server.Bucket(t)
			proxy := remotetest.CountingProxy(t, server.Endpoint)
			keys := newProfile(t, server)
			m := newMachine(t, keys.env(proxy.URL, bucket)...)
			for i := range files {
				m.write(codestory.ChapterPath(story, i+1), fmt.Appendf(nil, "chapter %d", i))
			}
			f.set(policy, proxy, bucket)
			m.start()
			s := m.await("the store to refuse, for some seconds", func(s codestory.Status) bool {
				return s.Remote.State == f.state && s.Queue.Queued == files && s.Queue.OldestSeconds >= 10
			})
			if s.Remote.Message == nil || !strings.Contains(*s.Remote.Message, f.words) {
				t.Errorf("the message is %v, want one that says %q", s.Remote.Message, f.words)
			}
			if n := len(proxy.Requests()); n >= 20 {
				t.Errorf("%d requests reached the server", n)
			}
			for _, words := range []string{bucket, "[request "} {
				if !strings.Contains(m.running.log.String(), words) {
					t.Errorf("the log does not say %q:\n%s", words, m.running.log)
				}
			}
			policy.Deny(nil)
			proxy.Before(nil)
			if code := m.post("/api/queue/retry"); code != http.StatusOK { // a person says that it is mended
				t.Errorf("retry: %d", code)
			}
			s = m.await("all to be synced", func(s codestory.Status) bool { return s.Synced.Files == files })
			if s.Queue.Blocked != 0 || s.Remote.State != codestory.RemoteOK {
				t.Errorf("in the end: %+v, %+v", s.Queue, s.Remote)
			}
			sameObjects(t, m, server, bucket)
		})
	}
}
