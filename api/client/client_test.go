package client_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/codestory/codestoryd/api/client"
)

func newClient(t *testing.T, url string) *client.Client {
	c := client.New(url, "a-secret", client.Options{})
	t.Cleanup(c.Close)
	return c
}

func TestNotRunning(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = newClient(t, "http://"+address).Health(t.Context(), "")
	if !errors.Is(err, client.ErrNotRunning) || !strings.Contains(err.Error(), address) {
		t.Errorf("got %v, want ErrNotRunning with the address", err)
	}
}

// Nothing else counts as a daemon that is not running.
func TestOtherErrors(t *testing.T) {
	t.Parallel()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := newClient(t, "http://127.0.0.1:1").Health(ended, ""); !errors.Is(err, context.Canceled) || errors.Is(err,
		client.ErrNotRunning) {
		t.Errorf("canceled: got %v", err)
	}
	if _, err := newClient(t, "http://127.0.0.1:x").Health(t.Context(), ""); err == nil || errors.Is(err, client.ErrNotRunning) {
		t.Errorf("bad address: got %v", err)
	}
}

func TestTimeout(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	t.Cleanup(srv.Close)
	t.Cleanup(func() { close(release) })
	c := client.New(srv.URL, "a-secret", client.Options{Timeout: 50 * time.Millisecond})
	t.Cleanup(c.Close)
	if _, err := c.Health(t.Context(), ""); !errors.Is(err, client.ErrBusy) || errors.Is(err, client.ErrNotRunning) {
		t.Errorf("got %v, want ErrBusy", err)
	}
}

// A daemon that has no room, or hangs up, is one that runs.
func TestBusy(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]http.HandlerFunc{
		"503": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write([]byte(`{"status": 503, "code": "busy", "detail": "too many"}`))
		},
		"429": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusTooManyRequests)
			_, _ = w.Write([]byte(`{"status": 429, "code": "too_many_requests", "detail": "too many"}`))
		},
		"hung up": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := httptest.NewServer(answer)
			t.Cleanup(srv.Close)
			if _, err := newClient(t, srv.URL).Status(t.Context()); !errors.Is(err, client.ErrBusy) || errors.Is(err, client.ErrNotRunning) {
				t.Errorf("got %v, want ErrBusy", err)
			}
		})
	}
}

// The token is for the daemon alone: a redirect is not followed.
func TestRedirect(t *testing.T) {
	t.Parallel()
	var followed atomic.Bool
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { followed.Store(true) }))
	t.Cleanup(other.Close)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL+r.URL.Path, http.StatusTemporaryRedirect)
	}))
	t.Cleanup(srv.Close)
	if _, err := newClient(t, srv.URL).Status(t.Context()); err == nil || followed.Load() {
		t.Errorf("got %v, followed %v", err, followed.Load())
	}
}

func TestProxyIsIgnored(t *testing.T) {
	var proxied atomic.Bool
	proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { proxied.Store(true) }))
	t.Cleanup(proxy.Close)
	t.Setenv("HTTP_PROXY", proxy.URL)
	t.Setenv("http_proxy", proxy.URL)
	srv := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(srv.Close)
	// net/http asks no proxy for 127.0.0.1, but does for 0.0.0.0, which leads to the same place or nowhere.
	url := strings.Replace(srv.URL, "127.0.0.1", "0.0.0.0", 1)
	if _, err := newClient(t, url).Health(t.Context(), ""); err == nil || proxied.Load() {
		t.Errorf("got %v, through the proxy %v", err, proxied.Load())
	}
}

// What is no answer of codestoryd is an error that says so, and no daemon.
func TestStrangers(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(http.ResponseWriter){
		"page":        func(w http.ResponseWriter) { w.Header().Set("Content-Type", "text/html") },
		"other error": func(w http.ResponseWriter) { http.Error(w, "no", http.StatusBadGateway) },
		"no json": func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte("{"))
		},
		"broken problem": func(w http.ResponseWriter) { w.Header().Set("Content-Type", "application/problem+json") },
		"no content":     func(w http.ResponseWriter) { w.WriteHeader(http.StatusNoContent) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Authorization") != "Bearer a-secret" {
					t.Errorf("authorization: %q", r.Header.Get("Authorization"))
				}
				answer(w)
			}))
			t.Cleanup(srv.Close)
			_, err := newClient(t, srv.URL).Status(t.Context())
			if _, problem := errors.AsType[*client.Problem](err); err == nil || problem || errors.Is(err,
				client.ErrNotRunning) {
				t.Errorf("got %v", err)
			}
		})
	}
}
