package api_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/codestory/codestoryd/api"
)

func TestHost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, c := range []struct {
		host string
		want int
	}{
		{"localhost", 200}, {"localhost:7788", 200}, {"LocalHost.", 200}, {"localhost.:1", 200}, {"localhost:", 200},
		{"127.0.0.1", 200}, {"127.0.0.1:9", 200}, {"127.255.255.254", 200}, {"127.0.0.1.", 200},
		{"[::1]", 200}, {"[::1]:7788", 200}, {"[0:0:0:0:0:0:0:1]", 200},
		{"nas.local", 200}, {"NAS.local:7788", 200}, {"nas.local.", 200}, {"[fd00::7]:80", 200},
		{"evil.example", 403}, {"evil.example:7788", 403}, {"localhost.evil.example", 403},
		{"127.0.0.1.evil.example", 403},
		{"", 403}, {"localhost..", 403}, {"x.localhost", 403}, {"evil@localhost", 400}, {"localhost:80@evil.example",
			400}, // net/http itself
		{"localhost:x", 403}, {"localhost:1:2", 403}, {"::1", 403}, {"[::1", 403}, {"[::1]x", 403}, {"[localhost]", 403},
		{"[127.0.0.1]", 403}, {"[::ffff:127.0.0.1]", 403}, {"[::1%25lo]", 403}, {"127.1", 403}, {"0x7f.0.0.1", 403},
		{"2130706433", 403}, {"0.0.0.0", 403}, {"128.0.0.1", 403}, {"[fd00::8]", 403}, {"local.nas.local", 403},
		{"localhost,evil.example", 403}, {":7788", 403}, {".", 403},
	} {
		resp := w.raw("GET /healthz HTTP/1.1\r\nHost: " + c.host + "\r\nConnection: close\r\n\r\n")
		if c.want == 403 {
			wantProblem(t, resp, 403, "host_not_allowed")
		}
		if resp.StatusCode != c.want {
			t.Errorf("Host %q: got %s, want %d", c.host, resp.Status, c.want)
		}
	}
}

// The Host check comes before everything, whatever else the request brings.
func TestHostFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const evil = " HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n"
	for name, text := range map[string]string{
		"token":            "GET /api/storage/stories" + evil + "Authorization: Bearer " + ownerToken + "\r\n\r\n",
		"forwarded":        "GET /healthz" + evil + "X-Forwarded-Host: localhost\r\nForwarded: host=localhost\r\nOrigin: http://localhost\r\n\r\n",
		"readyz":           "GET /readyz" + evil + "\r\n",
		"no route":         "GET /nothing" + evil + "\r\n",
		"no method":        "BREW /healthz" + evil + "\r\n",
		"options":          "OPTIONS /healthz" + evil + "\r\n",
		"options of all":   "OPTIONS *" + evil + "\r\n",
		"player url":       "GET /play/" + string(aliceStory) + "/audio/story.mp3?k=" + w.key(aliceStory) + evil + "\r\n",
		"bad path":         "GET /../etc/passwd" + evil + "\r\n",
		"whole url, ours":  "GET http://localhost/healthz" + evil + "\r\n",
		"whole url, other": "GET http://evil.example/healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
		"connect":          "CONNECT evil.example:443 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
		"old http":         "GET /healthz HTTP/1.0\r\n\r\n",
		"old http, other":  "GET /healthz HTTP/1.0\r\nHost: evil.example\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) { wantProblem(t, w.raw(text), 403, "host_not_allowed") })
	}
	for name, text := range map[string]string{ // these net/http refuses by itself
		"none": "GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n",
		"two":  "GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
	} {
		if resp := w.raw(text); resp.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: got %s, want 400", name, resp.Status)
		}
	}
	if asked := w.lib.takeAsked(); len(asked) > 0 {
		t.Errorf("looked up: %q", asked)
	}
}

// The address that a request came in at is a name of this daemon too: nobody can point that elsewhere.
func TestHostIsTheAddress(t *testing.T) {
	t.Parallel()
	w := newFakes(t, api.Options{})
	for _, c := range []struct {
		local, host string
		want        int
	}{
		{"192.168.1.5:7788", "192.168.1.5", 200}, {"192.168.1.5:7788", "192.168.1.5:80", 200},
		{"[::ffff:192.168.1.5]:7788", "192.168.1.5:7788", 200}, {"[fd00::9]:7788", "[fd00:0::9]:7788", 200},
		{"[fe80::9%eth0]:7788", "[fe80::9]", 200}, {"192.168.1.5:7788", "192.168.1.6", 403},
		{"192.168.1.5:7788", "192.168.1.5.evil.example", 403}, {"192.168.1.5:7788", "evil.example", 403},
	} {
		req := httptest.NewRequestWithContext(t.Context(), "GET", "/healthz", nil)
		req.Host = c.host
		local := net.TCPAddrFromAddrPort(netip.MustParseAddrPort(c.local))
		rec := httptest.NewRecorder()
		w.handler.ServeHTTP(rec, req.WithContext(context.WithValue(req.Context(), http.LocalAddrContextKey, local)))
		if rec.Code != c.want {
			t.Errorf("Host %s at %s: got %d, want %d", c.host, c.local, rec.Code, c.want)
		}
	}
}
