package api_test

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/api"
)

func (w *world) post(path, token, contentType, body string) *http.Response {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), "POST", w.public+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", contentType)
	resp, err := w.client.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { resp.Body.Close() })
	return resp
}

func TestTokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	resp := w.post("/api/tokens", ownerToken, "application/json; charset=utf-8", `{"name": "car", "user": "alice"}`)
	wantStatus(t, resp, 201)
	if resp.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("headers: %v", resp.Header)
	}
	added := decode[api.NewToken](t, resp)
	want := api.NewToken{TokenRequest: api.TokenRequest{Name: "car", User: "alice", Scope: codestory.ScopePlay},
		Secret: "secret-of-car"}
	if added != want {
		t.Errorf("added: got %+v, want %+v", added, want)
	}
	wantStatus(t, w.request("GET", storyURL(aliceStory, ""), added.Secret), 200)
	wantStatus(t, w.request("GET", "/api/status", added.Secret), 403)

	resp = w.request("GET", "/api/tokens", ownerToken)
	wantStatus(t, resp, 200)
	text := body(t, resp)
	if strings.Contains(text, added.Secret) || !strings.Contains(text, `"name":"car","user":"alice","scope":"play"`) {
		t.Errorf("list: %s", text)
	}

	wantProblem(t, w.post("/api/tokens", ownerToken, "application/json", `{"name": "car"}`), 409, "token_exists")
	wantStatus(t, w.request("DELETE", "/api/tokens/car", ownerToken), 204)
	wantProblem(t, w.request("DELETE", "/api/tokens/car", ownerToken), 404, "not_found")
	wantProblem(t, w.request("GET", storyURL(aliceStory, ""), added.Secret), 401, "unauthorized")
	wantProblem(t, w.request("DELETE", "/api/tokens/owner", ownerToken), 404, "not_found")
}

// With keys=1 every KEY of the token's user is replaced, and no other; without, all go on.
func TestRemovedTokensKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	keys := func() (alice, others string) {
		return w.access.PlayKey(aliceStory, codestory.OwnedBy("alice")) + w.access.LibraryKey("alice"),
			w.access.PlayKey(homeStory, codestory.OwnedBy("")) + w.access.LibraryKey("")
	}
	add := func() {
		t.Helper()
		wantStatus(t, w.post("/api/tokens", ownerToken, "application/json", `{"name": "car", "user": "alice"}`), 201)
	}
	alice, others := keys()
	for _, query := range []string{"", "?keys=0"} {
		add()
		wantStatus(t, w.request("DELETE", "/api/tokens/car"+query, ownerToken), 204)
		if now, _ := keys(); now != alice {
			t.Errorf("%q replaced the KEYs", query)
		}
	}
	add()
	wantProblem(t, w.request("DELETE", "/api/tokens/car?keys=yes", ownerToken), 400, "invalid_parameter")
	wantStatus(t, w.request("DELETE", "/api/tokens/car?keys=1", ownerToken), 204)
	if now, same := keys(); strings.Count(now, "-1") != 2+strings.Count(alice, "-1") || same != others {
		t.Errorf("KEYs of alice %q, before %q; others' %q, before %q", now, alice, same, others)
	}
	wantProblem(t, w.request("DELETE", "/api/tokens/car?keys=1", ownerToken), 404, "not_found")
}

func TestTokenBody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, c := range []struct {
		contentType, body string
		status            int
		code              string
	}{
		{"text/plain", `{"name": "x"}`, 415, "unsupported_media_type"},
		{"", `{"name": "x"}`, 415, "unsupported_media_type"},
		{"application/json", ``, 400, "invalid_body"},
		{"application/json", `{`, 400, "invalid_body"},
		{"application/json", `[]`, 400, "invalid_body"},
		{"application/json", `{"name": 1}`, 400, "invalid_body"},
		{"application/json", `{"name": "x", "admin": true}`, 400, "invalid_body"},
		{"application/json", `{"name": "x"} {}`, 400, "invalid_body"},
		{"application/json", `{"name": "x"} ]`, 400, "invalid_body"},
		{"application/json", `null`, 400, "invalid_token"},
		{"application/json", `{}`, 400, "invalid_token"},
		{"application/json", `{"name": ".."}`, 400, "invalid_token"},
		{"application/json", `{"name": "a/b"}`, 400, "invalid_token"},
		{"application/json", `{"name": "owner"}`, 400, "invalid_token"},
		{"application/json", `{"name": "x", "scope": "root"}`, 400, "invalid_token"},
		{"application/json", `{"name": "` + strings.Repeat("x", 1<<17) + `"}`, 413, "body_too_large"},
		{"application/json", strings.Repeat(" ", 1<<17), 413, "body_too_large"},
		{"application/json", `{"name": "x"}` + strings.Repeat(" ", 1<<17), 413, "body_too_large"},
	} {
		t.Run(fmt.Sprintf("%.40q", c.body), func(t *testing.T) {
			wantProblem(t, w.post("/api/tokens", ownerToken, c.contentType, c.body), c.status, c.code)
		})
	}
	if got := len(w.access.Tokens()); got != 2 {
		t.Errorf("tokens: got %d, want 2", got)
	}
}

// A disk that takes no token is not the client's fault, and none of its business.
func TestTokenDisk(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.access.diskErr = fmt.Errorf("keep the token: %w", &os.PathError{Op: "write", Path: "/data/tokens.json",
		Err: syscall.ENOSPC})
	p := wantProblem(t, w.post("/api/tokens", ownerToken, "application/json", `{"name": "x"}`), 500, "internal")
	if strings.Contains(p.Detail, "/data") || !strings.Contains(w.log.String(), "/data/tokens.json") {
		t.Errorf("served %q, logged %q", p.Detail, w.log)
	}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	text := body(t, w.request("GET", "/api/status", ownerToken))
	if !strings.Contains(text, `"uploads":[]`) || !strings.Contains(text, `"problems":[]`) || !strings.Contains(text,
		`"storage":null`) {
		t.Errorf("status: %s", text)
	}
	if text := body(t, w.request("GET", "/api/status/ignored",
		ownerToken)); text != `{"ignored":[],"truncated":false}`+"\n" {
		t.Errorf("ignored: %s", text)
	}
	w.monitor.mu.Lock()
	w.monitor.ignored = make([]codestory.Ignored, 12_000)
	w.monitor.mu.Unlock()
	if list := decode[api.IgnoredList](t, w.request("GET", "/api/status/ignored",
		ownerToken)); len(list.Ignored) != 10_000 || !list.Truncated {
		t.Errorf("ignored: got %d, truncated %v", len(list.Ignored), list.Truncated)
	}
}
