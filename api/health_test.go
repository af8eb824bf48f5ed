package api_test

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/codestory/codestoryd/api"
)

// The proof is for programs on this machine. Whoever asks from elsewhere, or through a proxy, could collect proofs.
func TestProofIsForThisMachine(t *testing.T) {
	t.Parallel()
	w := newFakes(t, api.Options{})
	for name, c := range map[string]struct {
		peer, local string
		header      http.Header
		proved      bool
	}{
		"loopback":               {"127.0.0.1:5", "127.0.0.1:7788", nil, true},
		"loopback of IPv6":       {"[::1]:5", "[::1]:7788", nil, true},
		"mapped loopback":        {"[::ffff:127.0.0.1]:5", "[::ffff:127.0.0.1]:7788", nil, true},
		"this machine's address": {"192.168.1.5:5", "192.168.1.5:7788", nil, true},
		"this machine's, zoned":  {"[fe80::9%eth0]:5", "[fe80::9%eth0]:7788", nil, true},
		"another machine":        {"192.168.1.6:5", "192.168.1.5:7788", nil, false},
		"no address":             {"@", "127.0.0.1:7788", nil, false},
		"X-Forwarded-For":        {"127.0.0.1:5", "127.0.0.1:7788", http.Header{"X-Forwarded-For": {"127.0.0.1"}}, false},
		"empty X-Forwarded-For":  {"127.0.0.1:5", "127.0.0.1:7788", http.Header{"X-Forwarded-For": {""}}, false},
		"Forwarded":              {"127.0.0.1:5", "127.0.0.1:7788", http.Header{"Forwarded": {"for=10.0.0.1"}}, false},
		"Via":                    {"127.0.0.1:5", "127.0.0.1:7788", http.Header{"Via": {"1.1 proxy"}}, false},
		"X-Real-IP":              {"127.0.0.1:5", "127.0.0.1:7788", http.Header{http.CanonicalHeaderKey("X-Real-IP"): {"10.0.0.1"}}, false},
	} {
		local := net.TCPAddrFromAddrPort(netip.MustParseAddrPort(c.local))
		ctx := context.WithValue(t.Context(), http.LocalAddrContextKey, local)
		req := httptest.NewRequestWithContext(ctx, "GET", "/healthz?challenge=x", nil)
		req.Host, req.RemoteAddr = "localhost", c.peer
		if c.header != nil {
			req.Header = c.header
		}
		rec := httptest.NewRecorder()
		w.handler.ServeHTTP(rec, req)
		var health api.Health
		if err := json.Unmarshal(rec.Body.Bytes(), &health); err != nil || rec.Code != 200 || (health.Proof != "") != c.proved {
			t.Errorf("%s: %d %s, %v; want a proof: %t", name, rec.Code, rec.Body, err, c.proved)
		}
	}
}
