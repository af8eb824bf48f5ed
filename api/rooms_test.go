package api_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/api"
)

// crowd opens n connections that send the request, which is one of a path and a token or none, and reads no more than the
// header of each answer. It returns how many were answered with each status.
func (w *world) crowd(n int, path, token string) map[int]int {
	w.t.Helper()
	request := "GET " + path + " HTTP/1.1\r\nHost: localhost\r\n"
	if token != "" {
		request += "Authorization: Bearer " + token + "\r\n"
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	statuses, slots := map[int]int{}, make(chan struct{}, 50)
	for range n {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			resp, err := w.hold(request + "\r\n")
			if err != nil {
				w.t.Error(err)
				return
			}
			if resp.StatusCode == http.StatusTooManyRequests && resp.Header.Get("Retry-After") == "" {
				w.t.Error("no Retry-After")
			}
			mu.Lock()
			defer mu.Unlock()
			statuses[resp.StatusCode]++
		})
	}
	wg.Wait()
	return statuses
}

// hold sends a request on a connection of its own, and keeps that until the test ends.
func (w *world) hold(request string) (*http.Response, error) {
	u, err := url.Parse(w.public)
	if err != nil {
		return nil, err
	}
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		return nil, err
	}
	w.t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return nil, err
	}
	if _, err := io.WriteString(conn, request); err != nil || !strings.HasSuffix(request, "\r\n\r\n") {
		return nil, err
	}
	return http.ReadResponse(bufio.NewReaderSize(conn, 4<<10), nil)
}

// wantRoom checks that everybody is answered but the client that crowds.
func (w *world) wantRoom() {
	w.t.Helper()
	for _, c := range []struct{ path, token string }{
		{"/healthz", ""}, {"/readyz", ""}, {"/api/status", ownerToken}, {"/metrics", ownerToken},
		{storyURL(homeStory, ""), homeToken}, {storyURL(homeStory, "/audio/stream?proxy=1"), homeToken},
		{w.playURL(codestory.StoryAudioPath(homeStory)), ""},
	} {
		wantStatus(w.t, w.request("GET", c.path, c.token), 200)
	}
	_, resp := w.listenAs(homeToken)
	_ = resp.Body.Close()
	_, resp = w.listenAs(ownerToken)
	_ = resp.Body.Close()
}

// One token or KEY takes up its share and no more, and half-sent requests take up nothing.
func TestCrowd(t *testing.T) {
	t.Parallel()
	for name, crowd := range map[string]func(*world) map[int]int{
		"event streams of a play token": func(w *world) map[int]int { return w.crowd(960, "/api/events", aliceToken) },
		"unread streams of a play token": func(w *world) map[int]int {
			return w.crowd(960, storyURL(aliceStory, "/audio/stream?proxy=1"), aliceToken)
		},
		"unread streams of a KEY": func(w *world) map[int]int { return w.crowd(960, w.playURL(codestory.StoryAudioPath(aliceStory)), "") },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.lib.change(func() {
				path := codestory.StoryAudioPath(aliceStory)
				w.lib.files[path] = file{data: bytes.Repeat([]byte("unread "), 1<<20), local: true}
			})
			statuses := crowd(w)
			if statuses[200] < 16 || statuses[200] > 400 || statuses[429] != 960-statuses[200] {
				t.Errorf("answered: %v", statuses)
			}
			w.wantRoom()
		})
	}
	t.Run("half-sent requests", func(t *testing.T) {
		w := newWorld(t)
		for i := range 2000 {
			request := "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: y"
			if _, err := w.hold(request[:i%len(request)]); err != nil {
				t.Fatal(err)
			}
		}
		w.wantRoom()
	})
}

// pipes is a listener whose connections are made in memory, for a bubble of synctest.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func newPipes() pipes { return pipes{make(chan net.Conn), make(chan struct{})} }

func (p pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p pipes) Close() error   { close(p.closed); return nil }
func (p pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 7788} }

// A stream whose client does not read ends, and one whose client reads slowly does not.
func TestUnreadStreamEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newFakes(t, api.Options{})
		data := bytes.Repeat([]byte("unread "), 300<<10)
		w.lib.files[codestory.StoryAudioPath(aliceStory)] = file{data: data, local: true}
		srv, listener := api.NewServer(w.handler), newPipes()
		done := make(chan error, 1)
		go func() { done <- srv.Serve(listener) }()
		t.Cleanup(func() {
			_ = srv.Close()
			<-done
		})
		dial := func() io.Reader {
			ours, theirs := net.Pipe()
			t.Cleanup(func() { _ = ours.Close() })
			listener.conns <- theirs
			if _, err := fmt.Fprintf(ours, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", w.playURL(codestory.StoryAudioPath(aliceStory))); err != nil {
				t.Fatal(err)
			}
			resp, err := http.ReadResponse(bufio.NewReader(ours), nil)
			if err != nil {
				t.Fatal(err)
			}
			return resp.Body
		}
		slow, unread := dial(), dial()
		received := 0
		buffer := make([]byte, 64<<10)
		for range 20 {
			time.Sleep(30 * time.Second)
			n, err := slow.Read(buffer)
			if received += n; err != nil {
				t.Fatalf("the slow reader has %d bytes: %v", received, err)
			}
		}
		if rest, err := io.ReadAll(slow); err != nil || received+len(rest) != len(data) {
			t.Errorf("the slow reader has %d bytes: %v", received+len(rest), err)
		}
		if n, err := io.Copy(io.Discard, unread); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("the stream that nobody read goes on: %d bytes, %v", n, err)
		}
	})
}

// What only the store can know is not asked more often than now and then, unless by scope manage.
func TestAsksOfOneToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	unknown := func(i int) string {
		return storyURL(codestory.StoryID(fmt.Sprintf("77777777-7777-4777-8777-%012d", i)), "")
	}
	statuses := map[int]int{}
	for i := range 200 {
		resp := w.request("GET", unknown(i), aliceToken)
		if statuses[resp.StatusCode]++; resp.StatusCode == 429 {
			if resp.Header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
			wantProblem(t, resp, 429, "too_many_requests")
		}
	}
	if asked := w.lib.storeAsked(); asked < 20 || asked > 100 || statuses[404] != asked || statuses[429] != 200-asked {
		t.Errorf("the store is asked %d times, answers %v", asked, statuses)
	}
	wantStatus(t, w.request("GET", storyURL(aliceStory, ""), aliceToken), 200)
	wantStatus(t, w.request("GET", unknown(0), homeToken), 404)
	for i := range 100 {
		wantStatus(t, w.request("GET", unknown(i), ownerToken), 404)
	}
}

// A body whose length is told in two ways is answered, and nothing that follows it is taken for a request.
func TestTwoLengths(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	resp := w.raw("POST /api/queue/pause HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + ownerToken +
		"\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
	wantStatus(t, resp, 200)
	if _ = body(t, resp); !resp.Close {
		t.Error("the connection is kept")
	}
}

func TestMetricsAreNotStored(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if got := w.request("GET", "/metrics", ownerToken).Header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("cache control: got %q", got)
	}
}
