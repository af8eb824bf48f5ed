package api_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/api"
)

func TestNoRoute(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, path := range []string{
		"/", "/nothing", "/api", "/api/", "/API/status", "/api/status/", "/healthz/", "/api/storage/stories/",
		"/play", "/play/",
		storyURL(aliceStory, "/"), storyURL(aliceStory, "/audio/"), storyURL(aliceStory, "/chapters"),
		storyURL(aliceStory, "/chapters/1"),
		storyURL(aliceStory, "/chapters//audio"), storyURL(aliceStory, "/chapters/1/audio/stream/"),
	} {
		wantProblem(t, w.request("GET", path, ownerToken), 404, "not_found")
	}
}

func TestNoMethod(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, c := range []struct{ method, path, allow string }{
		{"POST", "/healthz", "GET, HEAD, OPTIONS"},
		{"DELETE", storyURL(aliceStory, "/audio"), "GET, HEAD, OPTIONS"},
		{"PUT", "/play/" + string(aliceStory) + "/audio/story.mp3", "GET, HEAD, OPTIONS"},
		{"PUT", "/api/tokens", "GET, HEAD, OPTIONS, POST"},
		{"GET", "/api/tokens/phone", "DELETE, OPTIONS"},
		{"BREW", "/api/status", "GET, HEAD, OPTIONS"},
		{"CONNECT", "/api/status", "GET, HEAD, OPTIONS"},
	} {
		resp := w.raw(c.method + " " + c.path + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
		wantProblem(t, resp, 405, "method_not_allowed")
		if got := resp.Header.Get("Allow"); got != c.allow {
			t.Errorf("%s %s: Allow is %q, want %q", c.method, c.path, got, c.allow)
		}
	}
	wantStatus(t, w.request("OPTIONS", "/api/status", ""), 200)
}

func TestPanic(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.lib.change(func() { w.lib.panics = "all is lost" })
	p := wantProblem(t, w.request("GET", storyURL(aliceStory, "/audio?expires_in=60"), ownerToken), 500, "internal")
	if strings.Contains(p.Detail, "lost") {
		t.Errorf("served: %q", p.Detail)
	}
	for _, want := range []string{"all is lost", "route=/api/storage/stories/:id/audio ", "stack=", "play.go"} {
		if !strings.Contains(w.log.String(), want) {
			t.Errorf("log: no %q in %q", want, w.log)
		}
	}
	w.lib.change(func() { w.lib.panics = nil })
	wantStatus(t, w.request("GET", storyURL(aliceStory, "/audio"), ownerToken), 200)
}

// A panic in the middle of an answer cuts it off: a client must not take half a file for a whole one.
func TestPanicLate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	lib := bodyLibrary{w.lib, &lateBody{}}
	services := w.services()
	services.Library = lib
	srv := api.NewServer(api.New(services, api.Options{}))
	l := listen(t)
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	t.Cleanup(func() {
		srv.Close()
		<-done
	})
	resp, err := w.client.Get("http://" + l.Addr().String() + w.playURL(codestory.StoryAudioPath(aliceStory)))
	if err != nil {
		return // cut off before the header was sent
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if resp.StatusCode != 200 || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %s and %v, want a broken answer", resp.Status, err)
	}
	if rest := bytes.Trim(got, "\x00"); len(rest) > 0 {
		t.Errorf("the file goes on with %q", rest)
	}
}

// What goes wrong inside is logged with its route, and without what lets others in.
func TestLogKeepsSecrets(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.lib.change(func() { w.lib.fault = errors.New("disk on fire") })
	w.monitor.fault = errors.New("database on fire")
	key := w.key(farStory)
	wantProblem(t, w.request("GET", storyURL(farStory, "/audio?x=query-secret"), aliceToken), 500, "internal")
	wantProblem(t, w.request("GET", "/play/"+string(farStory)+"/audio/story.mp3?k="+key, ""), 500, "internal")
	wantProblem(t, w.request("GET", "/api/status", ownerToken), 500, "internal")
	w.lib.change(func() { w.lib.panics = "x" })
	wantProblem(t, w.request("GET", "/play/"+string(farStory)+"/audio/story.mp3?k="+key, ""), 500, "internal")
	log := w.log.String()
	for _, want := range []string{"disk on fire", "database on fire", "route=/play/*path ", "method=GET"} {
		if !strings.Contains(log, want) {
			t.Errorf("log: no %q in %q", want, log)
		}
	}
	for _, secret := range []string{key, "query-secret", ownerToken, aliceToken, "store-secret"} {
		if strings.Contains(log, secret) {
			t.Errorf("log: %q in %q", secret, log)
		}
	}
}

// A healthy daemon logs nothing, whatever clients ask.
func TestLogIsSilent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, path := range []string{"/nothing", "/healthz", storyURL(aliceStory, ""), storyURL(noStory, ""),
		"/play/" + string(aliceStory) + "/x?k=y"} {
		w.request("GET", path, aliceToken)
	}
	w.lib.change(func() { w.lib.down = true })
	wantStatus(t, w.request("GET", storyURL(farStory, "/audio"), aliceToken), 503)
	if w.log.String() != "" {
		t.Errorf("log: %q", w.log)
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, path := range []string{"/healthz", "/readyz"} {
		resp := w.request("GET", path, "")
		wantStatus(t, resp, 200)
		if got := decode[api.Health](t, resp); got != (api.Health{Status: "ok", Version: "1.2.3"}) {
			t.Errorf("%s: got %+v", path, got)
		}
	}
	w.monitor.mu.Lock()
	w.monitor.notReady = errors.New("database closed")
	w.monitor.mu.Unlock()
	wantStatus(t, w.request("GET", "/healthz", ""), 200)
	if p := wantProblem(t, w.request("GET", "/readyz", ""), 503, "not_ready"); strings.Contains(p.Detail, "database") {
		t.Errorf("served: %q", p.Detail)
	}
	if !strings.Contains(w.log.String(), "database closed") {
		t.Errorf("log: %q", w.log)
	}
}

// The server does not wait for ever for a request that does not come, nor for a client that does not read its answer.
func TestServerLimits(t *testing.T) {
	t.Parallel()
	srv := api.NewServer(http.NotFoundHandler())
	if srv.ReadTimeout != 0 {
		t.Errorf("a long upload would be cut off after %v", srv.ReadTimeout)
	}
	if srv.WriteTimeout <= 0 || srv.ReadHeaderTimeout <= 0 || srv.ReadHeaderTimeout > time.Minute || srv.IdleTimeout <= 0 ||
		srv.MaxHeaderBytes <= 0 {
		t.Errorf("no bounds: %+v", srv)
	}
	w := newWorld(t)
	resp := w.raw("GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: " + strings.Repeat("x", 1<<17) + "\r\n\r\n")
	wantStatus(t, resp, http.StatusRequestHeaderFieldsTooLarge)
}
