package api_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/api"
)

const friend = "https://app.example:8443" // the page that is allowed

// newPages is a world that one page of another origin may use.
func newPages(t *testing.T) *world {
	return newWorldWith(t, api.Options{AllowOrigins: []string{friend}})
}

// What a page may ask of the API, by what its browser says of it.
func TestOrigin(t *testing.T) {
	t.Parallel()
	w := newPages(t)
	for _, c := range []struct {
		name    string
		headers []string
		ok      bool
		named   string // Access-Control-Allow-Origin
	}{
		{"curl", nil, true, ""},
		{"typed in", []string{"Sec-Fetch-Site", "none"}, true, ""},
		{"own page", []string{"Sec-Fetch-Site", "same-origin"}, true, ""},
		{"own page, changing", []string{"Origin", w.public, "Sec-Fetch-Site", "same-origin"}, true, w.public},
		{"friend", []string{"Origin", friend, "Sec-Fetch-Site", "cross-site"}, true, friend},
		{"friend's older browser", []string{"Origin", friend}, true, friend},
		{"same site", []string{"Sec-Fetch-Site", "same-site"}, false, ""},
		{"cross site", []string{"Sec-Fetch-Site", "cross-site"}, false, ""},
		{"navigation", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}, false, ""},
		{"another value", []string{"Sec-Fetch-Site", "Same-Origin"}, false, ""},
		{"empty value", []string{"Sec-Fetch-Site", ""}, false, ""},
		{"two values", []string{"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Site", "cross-site"}, false, ""},
		{"foreign", []string{"Origin", "https://evil.example"}, false, ""},
		{"foreign, same-origin it says", []string{"Origin", "https://evil.example", "Sec-Fetch-Site", "same-origin"}, false, ""},
		{"null", []string{"Origin", "null"}, false, ""},
		{"empty", []string{"Origin", ""}, false, ""},
		{"other port", []string{"Origin", "http://127.0.0.1:1"}, false, ""},
		{"other scheme", []string{"Origin", strings.Replace(w.public, "http", "https", 1)}, false, ""},
		{"friend's other port", []string{"Origin", "https://app.example"}, false, ""},
		{"friend's other scheme", []string{"Origin", "http://app.example:8443"}, false, ""},
		{"friend's sub-domain", []string{"Origin", "https://x.app.example:8443"}, false, ""},
		{"friend and more", []string{"Origin", friend + ".evil.example"}, false, ""},
		{"friend's slash", []string{"Origin", friend + "/"}, false, ""},
		{"friend and another", []string{"Origin", friend, "Origin", "https://evil.example"}, false, ""},
		{"list", []string{"Origin", friend + ", https://evil.example"}, false, ""},
		{"star", []string{"Origin", "*"}, false, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, path := range []string{"/api/status", storyURL(aliceStory, "/audio"), "/api/nothing"} {
				resp := w.request("GET", path, ownerToken, c.headers...)
				switch {
				case !c.ok:
					wantProblem(t, resp, 403, "origin_not_allowed")
				case path == "/api/nothing":
					wantStatus(t, resp, 404)
				default:
					wantStatus(t, resp, 200)
				}
				if got := resp.Header.Values("Access-Control-Allow-Origin"); strings.Join(got, "|") != c.named {
					t.Errorf("%s: Access-Control-Allow-Origin is %q, want %q", path, got, c.named)
				}
				if got := resp.Header.Get("Vary"); got != "Origin" {
					t.Errorf("%s: Vary is %q", path, got)
				}
				if resp.Header.Get("Access-Control-Allow-Credentials") != "" {
					t.Error("credentials are allowed")
				}
			}
		})
	}
	wantProblem(t, w.request("GET", "/api/status", "wrong", "Origin", friend), 401, "unauthorized")
	wantProblem(t, w.request("POST", "/api/queue/pause", ownerToken, "Sec-Fetch-Site", "cross-site"), 403, "origin_not_allowed")
	if w.queue.paused {
		t.Error("a page of another site paused the queue")
	}
	for _, path := range []string{"/healthz", "/readyz"} {
		resp := w.request("GET", path, "", "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site")
		wantStatus(t, resp, 200)
		if got := resp.Header.Get("Access-Control-Allow-Origin"); got != "" {
			t.Errorf("%s: any page may read it: %q", path, got)
		}
	}
}

// A link or a URL with a KEY plays on any page, and lets it read what it needs for seeking.
func TestAnyPagePlays(t *testing.T) {
	t.Parallel()
	w := newPages(t)
	url := w.playURL(codestory.StoryAudioPath(aliceStory))
	for _, origin := range []string{"https://evil.example", "null", friend} {
		resp := w.request("GET", url, "", "Origin", origin, "Sec-Fetch-Site", "cross-site", "Range", "bytes=0-1")
		wantStatus(t, resp, 206)
		if got := resp.Header.Get("Access-Control-Allow-Origin"); got != "*" {
			t.Errorf("Access-Control-Allow-Origin is %q", got)
		}
		for _, name := range []string{"Content-Range", "Content-Length", "Accept-Ranges", "ETag"} {
			if !strings.Contains(resp.Header.Get("Access-Control-Expose-Headers"), name) {
				t.Errorf("%s is kept from pages", name)
			}
		}
		wantProblem(t, w.request("GET", url+"x", "", "Origin", origin), 403, "link_invalid")
	}
	for _, path := range []string{url, "/feed/library.xml?k=x"} {
		resp := w.request("OPTIONS", path, "", "Origin", "https://evil.example", "Access-Control-Request-Method", "GET",
			"Access-Control-Request-Headers", "range", "Access-Control-Request-Private-Network", "true")
		wantStatus(t, resp, 204)
		h := resp.Header
		if h.Get("Access-Control-Allow-Origin") != "*" || h.Get("Access-Control-Allow-Methods") != "GET, HEAD" ||
			!strings.HasPrefix(h.Get("Access-Control-Allow-Headers"), "Range,") || h.Get("Access-Control-Max-Age") == "" ||
			h.Get("Access-Control-Allow-Private-Network") != "true" {
			t.Errorf("%s: preflight: %v", path, h)
		}
	}
}

// A form posts from any page, and tells it how that went.
func TestAnyPagePostsForms(t *testing.T) {
	t.Parallel()
	w := newPages(t)
	path := "/upload/" + string(codestory.StoryAudioPath(aliceStory))
	resp := w.request("POST", path, "", "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site")
	wantProblem(t, resp, 400, "invalid_body")
	if got := resp.Header.Get("Access-Control-Allow-Origin"); got != "*" {
		t.Errorf("Access-Control-Allow-Origin is %q", got)
	}
	resp = w.request("OPTIONS", path, "", "Origin", "https://evil.example", "Access-Control-Request-Method", "POST")
	wantStatus(t, resp, 204)
	if got := resp.Header.Get("Access-Control-Allow-Methods"); got != "POST" {
		t.Errorf("Access-Control-Allow-Methods is %q", got)
	}
}

func TestPreflight(t *testing.T) {
	t.Parallel()
	w := newPages(t)
	preflight := func(path, origin string) *http.Response {
		return w.request("OPTIONS", path, "", "Origin", origin, "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "cors",
			"Access-Control-Request-Method", "DELETE", "Access-Control-Request-Headers", "authorization,x-made-up")
	}
	resp := preflight("/api/tokens/phone", friend)
	wantStatus(t, resp, 204)
	h := resp.Header
	if h.Get("Access-Control-Allow-Origin") != friend || h.Get("Vary") != "Origin" || h.Get("Access-Control-Max-Age") == "" ||
		!strings.Contains(h.Get("Access-Control-Allow-Methods"), "DELETE") ||
		!strings.Contains(h.Get("Access-Control-Allow-Headers"), "Authorization") ||
		strings.Contains(strings.ToLower(h.Get("Access-Control-Allow-Headers")), "made-up") ||
		h.Get("Access-Control-Allow-Private-Network") != "" {
		t.Errorf("preflight: %v", h)
	}
	for _, origin := range []string{"https://evil.example", "null", "http://localhost:3000"} {
		resp := preflight("/api/tokens/phone", origin)
		wantProblem(t, resp, 403, "origin_not_allowed")
		for name := range resp.Header {
			if strings.HasPrefix(name, "Access-Control-") {
				t.Errorf("%s is told %s", origin, name)
			}
		}
	}
}

func TestParseOrigin(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"https://app.example": "https://app.example", "HTTPS://App.Example:443": "https://app.example",
		"http://localhost:3000": "http://localhost:3000", "http://x:80": "http://x", "http://x:0443": "http://x:443",
		"https://x:80": "https://x:80", "http://[0:0::1]:5000": "http://[::1]:5000", "http://127.0.0.1:1": "http://127.0.0.1:1",
		"capacitor://localhost": "capacitor://localhost", "https://xn--bcher-kva.example": "https://xn--bcher-kva.example",
	} {
		if got, err := api.ParseOrigin(in); got != want || err != nil {
			t.Errorf("%q: got %q, %v; want %q", in, got, err, want)
		}
	}
	for _, bad := range []string{
		"", "*", "null", "https://", "https://*", "https://*.example", "app.example", "localhost:3000", "//app.example",
		"https://app.example/", "https://app.example/x", "https://app.example?", "https://app.example#", "https://u@app.example",
		"https://u:p@app.example", "https://app.example:", "https://app.example:x", "https://app.example:65536",
		"https://bücher.example", "https://a b", " https://app.example", "https://app.example ", "file:///x", "https://a,b",
		"https://a%2eb", "https://[::1", "https://[::1%25lo]",
	} {
		if got, err := api.ParseOrigin(bad); err == nil {
			t.Errorf("%q was taken for %q", bad, got)
		}
	}
}
