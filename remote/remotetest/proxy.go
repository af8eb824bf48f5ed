package remotetest

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Proxy stands in front of a server and notes what reaches it. Signatures hold, because it passes the Host on that
// it was asked for.
type Proxy struct {
	URL string

	forward *httputil.ReverseProxy

	mu       sync.Mutex
	requests []string
	before   func(w http.ResponseWriter, r *http.Request) (answered bool)
}

// CountingProxy starts a proxy for the server at target, a URL without a path. It ends with the test.
func CountingProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	to, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DisableCompression: true}
	p := &Proxy{forward: &httputil.ReverseProxy{
		Transport: transport,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = to.Scheme, to.Host
			r.Out.Host = r.In.Host
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.requests = append(p.requests, r.Method+" "+r.URL.RequestURI())
		before := p.before
		p.mu.Unlock()
		if before == nil || !before(w, r) {
			p.Forward(w, r)
		}
	}))
	p.URL = server.URL
	t.Cleanup(func() {
		server.Close()
		transport.CloseIdleConnections()
	})
	return p
}

// Before lets f see every request before the server does, which does not get it where f has answered.
func (p *Proxy) Before(f func(w http.ResponseWriter, r *http.Request) (answered bool)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.before = f
}

// Forward hands a request to the server.
func (p *Proxy) Forward(w http.ResponseWriter, r *http.Request) { p.forward.ServeHTTP(w, r) }

// count is how many of the requests have the method and the words.
func count(requests []string, method, words string) (n int) {
	for _, r := range requests {
		if strings.HasPrefix(r, method+" ") && strings.Contains(r, words) {
			n++
		}
	}
	return n
}

// Requests are those that came since the last call, each as "METHOD /path?query".
func (p *Proxy) Requests() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer func() { p.requests = nil }()
	return slices.Clone(p.requests)
}
