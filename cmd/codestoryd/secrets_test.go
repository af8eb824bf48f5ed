package main

import (
	"bytes"
	"context"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/internal/problem"
	"github.com/codestory/codestoryd/remote/remotetest"
)

// Whatever is asked, and whatever goes wrong with it: at no level does the log hold what would let its reader in.
func TestLogHoldsNoSecrets(t *testing.T) {
	t.Parallel()
	server := remotetest.StartMinIO(t, remotetest.MinIOOptions{})
	m := newMachine(t, stored(server, server.Endpoint, server.Bucket(t))...)
	m.args = []string{"--log-level", "debug"}
	m.write(codestory.StoryAudioPath(story), []byte("audio"))
	m.start()
	m.awaitSynced(1)
	token, err := os.ReadFile(filepath.Join(m.dataDir, "token"))
	if err != nil {
		t.Fatal(err)
	}
	secrets := []string{strings.TrimSpace(string(token)), server.SecretKey, "X-Amz-Signature", "X-Amz-Credential", "a-wrong-token"}
	audio := "/api/storage/stories/" + string(story) + "/audio"
	ask := func() {
		t.Helper()
		var link codestory.Link
		if code := m.get(audio, &link); code == http.StatusOK {
			for _, u := range []string{link.URL, *link.PlayURL, *link.PlayURL + "&proxy=1"} {
				parsed, err := url.Parse(u)
				if err != nil {
					t.Fatal(err)
				}
				for _, name := range []string{"k", "sig", "X-Amz-Signature"} {
					if v := parsed.Query().Get(name); v != "" {
						secrets = append(secrets, v)
					}
				}
				if strings.HasPrefix(u, m.running.url) {
					m.fetch(u)
					m.fetch(u + "x")
				}
			}
		}
		for _, path := range []string{audio + "/stream", audio + "/stream?proxy=1", audio + "?token=" + secrets[0], "/api/nothing?token=" + secrets[0]} {
			m.get(path, nil)
		}
		req, err := http.NewRequest(http.MethodGet, m.running.url+audio, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer a-wrong-token")
		m.do(req)
	}
	ask()
	if err := os.Remove(filepath.Join(m.dir, filepath.FromSlash(string(codestory.StoryAudioPath(story))))); err != nil {
		t.Fatal(err)
	}
	ask() // of the store alone
	server.Stop()
	ask() // of nobody
	log := m.running.log
	if err := m.stop(); err != nil {
		t.Error(err)
	}
	text := log.String()
	for _, secret := range secrets {
		if strings.Contains(text, secret) {
			t.Errorf("the log holds %q:\n%s", secret, text)
		}
	}
	if len(secrets) < 8 || !strings.Contains(text, "msg=") {
		t.Errorf("%d secrets were held against a log of %d bytes", len(secrets), len(text))
	}
}

// planted is the daemon with secrets in its settings. Each secret has a text of its own that begins with "hush".
type planted struct {
	env   []string          // "@" is the data directory
	args  []string          // of run and config; "@" is the data directory
	files map[string]string // in the data directory, before it starts
}

const (
	nowhere = "http://127.0.0.1:1"
	longOne = "hushToken0123456789abcdefghijklmnopqrstuvwxyz"
)

var plants = map[string]planted{
	"keys of S3": {env: []string{"S3_BUCKET=stories", "S3_ENDPOINT_URL=" + nowhere, "AWS_ACCESS_KEY_ID=key",
		"AWS_SECRET_ACCESS_KEY=hushSecret", "AWS_SESSION_TOKEN=hushSession"}},
	"user in an endpoint": {env: []string{"S3_BUCKET=stories", "S3_ENDPOINT_URL=http://hushUser:hushPass@127.0.0.1:1"}},
	"password that ends the host": {env: []string{"S3_BUCKET=stories", "S3_ENDPOINT_URL=http://hushUser#hushPass@127.0.0.1:1",
		"S3_PUBLIC_ENDPOINT_URL=http://hushUser:hush/Pass@127.0.0.1:1"}},
	"query of an endpoint": {env: []string{"S3_BUCKET=stories", "S3_ENDPOINT_URL=" + nowhere, "S3_PUBLIC_ENDPOINT_URL=" + nowhere + "?hushQuery",
		"AWS_ACCESS_KEY_ID=key", "AWS_SECRET_ACCESS_KEY=hushSecret"}},
	"proxy": {env: []string{"S3_BUCKET=stories", "S3_ENDPOINT_URL=http://s3.example", "AWS_ACCESS_KEY_ID=key", "AWS_SECRET_ACCESS_KEY=hushSecret",
		"HTTP_PROXY=http://hushUser:hushPass@127.0.0.1:1/?hushQuery", "HTTPS_PROXY=hushUser:hushPass@127.0.0.1:1"}},
	"profile": {env: []string{"S3_BUCKET=stories", "S3_ENDPOINT_URL=" + nowhere, "AWS_PROFILE=mine", "AWS_SHARED_CREDENTIALS_FILE=@profile"},
		files: map[string]string{"profile": "[mine]\naws_access_key_id = key\naws_secret_access_key = hushSecret\naws_session_token = hushSession\n"}},
	"broken profile": {env: []string{"S3_BUCKET=stories", "S3_ENDPOINT_URL=" + nowhere, "AWS_PROFILE=mine", "AWS_SHARED_CREDENTIALS_FILE=@profile"},
		files: map[string]string{"profile": "[mine]\naws_access_key_id = key\naws_secret_access_key : hushSecret\nhushLine\n[mine\nhushSession"}},
	"query of the JWK set": {args: []string{"--jwt-jwks", nowhere + "/jwks?code=hushQuery", "--jwt-issuer", "https://id.example", "--jwt-audience", "x"}},
	"user in the JWK set":  {args: []string{"--jwt-jwks", "https://hushUser:hushPass@id.example/jwks", "--jwt-issuer", "https://id.example", "--jwt-audience", "x"}},
	"public URL":           {args: []string{"--public-url", "https://hushUser:hushPass@radio.example/?hushQuery"}},
	"origin":               {args: []string{"--allow-origin", "https://hushUser:hushPass@radio.example"}},
	"rclone, quoted": {env: []string{"RCLONE_CONFIG_X_TYPE=webdav"},
		args: []string{"--remote", `rclone:x,url="http://hushUser:hushPass@127.0.0.1:1/?token=hushQuery",pass=hushObscured,bearer_token='hush''Quote':path`}},
	"rclone, unquoted":       {args: []string{"--remote", `rclone::webdav,vendor=other,bearer_token=hushBearer,headers=Cookie,hushCookie=hushValue:path`}},
	"rclone, on the fly":     {args: []string{"--remote", `rclone::sftp,host=127.0.0.1,port=1,user=me,pass=hushPass,key_pem="hush\nKey":path`}},
	"rclone, backslashed":    {args: []string{"--remote", `rclone:x\,pass=hushPass:path`}},
	"rclone, unterminated":   {args: []string{"--remote", `rclone:x,pass="hushPass:path`}},
	"rclone, a URL":          {args: []string{"--remote", `rclone:http://me:hushPass@127.0.0.1:1/x`}},
	"rclone, no prefix":      {args: []string{"--remote", `:sftp,pass=hushPass:path`}},
	"rclone, in capitals":    {args: []string{"--remote", `RCLONE::sftp,pass=hushPass:path`}},
	"URL of a bucket":        {env: []string{"S3_BUCKET=http://me:hushPass@127.0.0.1:1/stories"}},
	"rclone, no such remote": {args: []string{"--remote", `rclone:x,pass=hushPass,url="http://hushHost":path`}},
	"rclone, environment": {env: []string{"RCLONE_CONFIG_X_TYPE=webdav", "RCLONE_CONFIG_X_URL=http://hushUser:hushPass@127.0.0.1:1/?hushQuery",
		"RCLONE_CONFIG_X_BEARER_TOKEN=hushBearer", "RCLONE_CONFIG_X_PASS=hushObscured"}, args: []string{"--remote", "rclone:x:path"}},
	"rclone, file": {env: []string{"RCLONE_CONFIG=@rclone.conf"}, args: []string{"--remote", "rclone:y:path"},
		files: map[string]string{"rclone.conf": "[x]\ntype = webdav\nurl = http://hushUser:hushPass@127.0.0.1:1/?hushQuery\n" +
			"bearer_token = hushBearer\n[y]\ntype = alias\nremote = x,pass=hushObscured:hidden\n"}},
	"TLS key": {args: []string{"--tls-cert", "@cert.pem", "--tls-key", "@key.pem"},
		files: map[string]string{"cert.pem": "hushCertificate", "key.pem": "-----BEGIN PRIVATE KEY-----\nhushKey\n-----END PRIVATE KEY-----\n"}},
	"config file": {args: []string{"--config", "@config.toml"}, files: map[string]string{"config.toml": "S3_BUCKET = 'stories'\nAWS_ACCESS_KEY_ID = 'key'\n" +
		"AWS_SECRET_ACCESS_KEY = 'hushSecret'\nS3_ENDPOINT_URL = 'http://hushUser@127.0.0.1:1'\n"}},
	"config file without quotes": {args: []string{"--config", "@config.toml"}, files: map[string]string{"config.toml": "AWS_SECRET_ACCESS_KEY = hushSecret\n"}},
	"config file, quote open":    {args: []string{"--config", "@config.toml"}, files: map[string]string{"config.toml": "AWS_SECRET_ACCESS_KEY = \"hush\\Secret\n"}},
	"config file, a list":        {args: []string{"--config", "@config.toml"}, files: map[string]string{"config.toml": "AWS_SECRET_ACCESS_KEY = ['hushSecret']\n"}},
	"token and link.key":         {files: map[string]string{"token": longOne, "link.key": longOne + "2"}},
	"short token":                {files: map[string]string{"token": "hushShort"}},
	"tokens that do not parse":   {files: map[string]string{"token": longOne, "tokens.json": `[{"name": hushName`, "keys.json": "hushKeys"}},
}

// Whatever secret is in a setting: neither config nor status, the log at debug and the errors show it.
func TestSettingsShowNoSecrets(t *testing.T) {
	t.Parallel()
	for name, c := range plants {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			atDataDir := func(text string) string { return strings.Replace(text, "@", m.dataDir+"/", 1) }
			for _, setting := range append([]string{"CODESTORYD_CONFIG=@empty.toml"}, c.env...) {
				if name, value, _ := strings.Cut(setting, "="); strings.HasPrefix(value, "@") {
					setting = name + "=" + atDataDir(value)
				}
				m.env = append(m.env, setting)
			}
			m.args = []string{"--log-level", "debug"}
			for _, arg := range c.args {
				if strings.HasPrefix(arg, "@") {
					arg = atDataDir(arg)
				}
				m.args = append(m.args, arg)
			}
			c.files = maps.Clone(c.files)
			if c.files == nil {
				c.files = map[string]string{}
			}
			c.files["empty.toml"] = ""
			for file, content := range c.files {
				if err := os.WriteFile(filepath.Join(m.dataDir, file), []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			m.write(codestory.StoryAudioPath(story), []byte("audio"))
			said := m.run("config")
			r := m.launch()
			line := <-r.said
			if line != "" {
				m.running.url = strings.TrimSpace(strings.TrimPrefix(line, "codestoryd ready "))
				if strings.Contains(strings.Join(c.args, " ")+strings.Join(c.env, " "), "127.0.0.1:1") {
					m.await("the store or the keys to be asked", func(s codestory.Status) bool {
						return s.Remote.State != codestory.RemoteOK || len(s.Problems) > 0
					})
				}
				said += m.run("status", "--json") + m.run("status")
				if err := m.running.cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
			<-r.exit
			if line == "" && !strings.Contains(r.log.String(), "codestoryd: ") {
				t.Errorf("the daemon did not say why it does not start: %s", r.log)
			}
			m.running = nil
			said += r.log.String() + m.run("status")
			if i := strings.Index(strings.ToLower(said), "hush"); i >= 0 {
				t.Errorf("a secret shows at %q, in:\n%s", said[i:min(i+20, len(said))], said)
			}
		})
	}
}

// run runs a command in this process with the settings of the machine, and returns what it prints.
func (m *machine) run(args ...string) string {
	m.t.Helper()
	env := map[string]string{}
	for _, setting := range m.env {
		name, value, _ := strings.Cut(setting, "=")
		env[name] = value
	}
	var said bytes.Buffer
	ctx, cancel := context.WithCancel(m.t.Context())
	defer cancel()
	p := &program{soft: ctx, hard: ctx, getenv: func(name string) string { return env[name] }, stdout: &said, stderr: &said}
	p.run(append(append(args, "--dir", m.dir, "--data-dir", m.dataDir, "--listen", "127.0.0.1:0"), m.args...)) // whether it fails is its affair
	return said.String()
}

// A config file with a secret that others can read is a problem, and so is one that they can replace. Neither is changed.
func TestConfigFileRights(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no such rights")
	}
	const secret, none = "AWS_SECRET_ACCESS_KEY = 'hush'\n", "log-level = 'info'\n"
	for _, c := range []struct {
		content   string
		file, dir os.FileMode
		want      string
	}{
		{secret, 0o600, 0o755, ""}, {secret, 0o644, 0o755, "config_readable"}, {secret, 0o640, 0o755, "config_readable"},
		{none, 0o644, 0o755, ""}, {none, 0o664, 0o755, "config_open"}, {none, 0o600, 0o775, "config_open"},
		{none, 0o600, 0o777 | os.ModeSticky, ""}, {"remote = 'rclone:x,pass=hush:p'\n", 0o644, 0o755, "config_readable"},
		{"jwt-jwks = 'https://id.example/?code=hush'\n", 0o644, 0o755, "config_readable"},
	} {
		path := filepath.Join(t.TempDir(), "config.toml")
		for _, err := range []error{os.WriteFile(path, []byte(c.content), 0o600), os.Chmod(path, c.file), os.Chmod(filepath.Dir(path), c.dir)} {
			if err != nil {
				t.Fatal(err)
			}
		}
		env := map[string]string{"CODESTORYD_CONFIG": path, "CODESTORYD_DATA_DIR": t.TempDir(), "CODESTORYD_JWT_ISSUER": "x", "CODESTORYD_JWT_AUDIENCE": "x"}
		if !strings.HasPrefix(c.content, "jwt") {
			delete(env, "CODESTORYD_JWT_ISSUER")
			delete(env, "CODESTORYD_JWT_AUDIENCE")
		}
		p := &program{getenv: func(name string) string { return env[name] }}
		p.flags.register(pflag.NewFlagSet("", pflag.ContinueOnError))
		conf, err := p.config()
		if err != nil {
			t.Fatal(err)
		}
		problems := problem.NewSet(slog.New(slog.DiscardHandler))
		conf.checkConfigFile(problems)
		var got []string
		for _, found := range problems.List() {
			got = append(got, found.Code)
		}
		if info, err := os.Stat(path); strings.Join(got, " ") != c.want || err != nil || info.Mode().Perm() != c.file {
			t.Errorf("%q with the rights %v in a folder with %v: %q, want %q; now %v, %v", c.content, c.file, c.dir, got, c.want, info.Mode(), err)
		}
	}
}
