package main

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/codestory/codestoryd"
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
