package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/codestory/codestoryd"
)

// A user of the service that signs JWTs plays their own stories, and no more.
func TestJWT(t *testing.T) {
	t.Parallel()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	keys := filepath.Join(t.TempDir(), "jwks.json")
	set := fmt.Sprintf(`{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k1","use":"sig","x":%q}]}`, encode(public))
	if err := os.WriteFile(keys, []byte(set), 0o600); err != nil {
		t.Fatal(err)
	}
	token := func(user string) string {
		text := encode([]byte(`{"alg":"EdDSA","kid":"k1"}`)) + "." + encode(fmt.Appendf(nil,
			`{"iss":"https://id.example","aud":"codestoryd","sub":%q,"exp":%d}`, user, time.Now().Add(time.Hour).Unix()))
		return text + "." + encode(ed25519.Sign(private, []byte(text)))
	}

	m := newMachine(t, "CODESTORYD_JWT_ISSUER=https://id.example", "CODESTORYD_JWT_AUDIENCE=codestoryd")
	m.args = []string{"--jwt-jwks", keys, "--log-level", "debug"}
	m.write(codestory.MetadataPath(story), []byte(`{"user_id":"ada"}`))
	m.write(codestory.StoryAudioPath(story), []byte("audio"))
	m.write(codestory.StoryAudioPath(another), []byte("the daemon's own user's"))
	m.start()
	m.awaitSynced(3)
	ada := token("ada")
	for _, c := range []struct {
		path, token string
		want        int
	}{
		{"/api/storage/stories/" + string(story) + "/audio", ada, 200},
		{"/api/storage/stories/" + string(another) + "/audio", ada, 403},
		{"/api/storage/stories/" + string(story) + "/audio", token("bob"), 403},
		{"/api/storage/stories/" + string(another) + "/audio", token(""), 401},
		{"/api/status", ada, 403},
		{"/api/storage/stories", ada[:len(ada)-4], 401},
	} {
		req, err := http.NewRequest(http.MethodGet, m.running.url+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+c.token)
		if resp, body := m.do(req); resp.StatusCode != c.want {
			t.Errorf("%s: %s, want %d: %s", c.path, resp.Status, c.want, body)
		}
	}
	if log := m.running.log.String(); !strings.Contains(log, "a JWT is refused") || strings.Contains(log, strings.Split(ada, ".")[2]) {
		t.Errorf("log: %s", log)
	}
}
