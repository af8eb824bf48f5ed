package api

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// serveConns serves h with a limit of connections and returns its address.
func serveConns(t *testing.T, limit int, h http.HandlerFunc) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := newServer(h, limit)
	done := make(chan error, 1)
	go func() { done <- srv.Serve(listener) }()
	t.Cleanup(func() {
		_ = srv.Close()
		<-done
	})
	return listener.Addr().String()
}

// dial opens a connection and sends text.
func dial(t *testing.T, address, text string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	return conn
}

func answerOf(t *testing.T, conn net.Conn) *http.Response {
	t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

const getRequest = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"

// Connections that bring no request, or half of one, are closed for those that do: the oldest first.
func TestSlowConnectionsKeepNobodyOut(t *testing.T) {
	t.Parallel()
	address := serveConns(t, 8, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "served")
	})
	kept := dial(t, address, getRequest) // one that was kept alive, older than all the others
	if resp := answerOf(t, kept); resp.StatusCode != 200 {
		t.Fatalf("got %s", resp.Status)
	}
	var slow []net.Conn
	for i := range 40 {
		slow = append(slow, dial(t, address, "GET / HTTP/1.1\r\nHost: local"[:i%20]))
	}
	for range 20 {
		if resp := answerOf(t, dial(t, address, getRequest)); resp.StatusCode != 200 {
			t.Fatalf("got %s", resp.Status)
		}
	}
	if n, err := kept.Read(make([]byte, 1)); err == nil || n != 0 {
		t.Errorf("the oldest connection is still open: %d, %v", n, err)
	}
	if _, err := slow[0].Read(make([]byte, 1)); err == nil {
		t.Error("the oldest slow connection is still open")
	}
}

// Clients that were answered and do not send the rest of their body, for which net/http waits, keep nobody out either.
func TestSlowBodiesKeepNobodyOut(t *testing.T) {
	t.Parallel()
	address := serveConns(t, 8, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
	})
	for range 40 {
		dial(t, address, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500\r\n\r\n{")
	}
	for range 20 {
		if resp := answerOf(t, dial(t, address, getRequest)); resp.StatusCode != http.StatusUnauthorized {
			t.Fatalf("got %s", resp.Status)
		}
	}
}

// A connection that is serving a request is never closed for another.
func TestServingConnectionsAreKept(t *testing.T) {
	t.Parallel()
	entered, release := make(chan struct{}), make(chan struct{})
	address := serveConns(t, 3, func(w http.ResponseWriter, _ *http.Request) {
		entered <- struct{}{}
		<-release
		_, _ = io.WriteString(w, "served to the end")
	})
	serving := []net.Conn{dial(t, address, getRequest), dial(t, address, getRequest)}
	for range serving {
		<-entered
	}
	for range 10 {
		dial(t, address, "GET /")
	}
	close(release)
	for _, conn := range serving {
		if b, err := io.ReadAll(io.LimitReader(answerOf(t, conn).Body, 17)); string(b) != "served to the end" {
			t.Errorf("cut off: %q, %v", b, err)
		}
	}
}

func TestConnLimit(t *testing.T) {
	t.Parallel()
	for files, want := range map[int]int{math.MaxInt: 1024, 1024: 512, 256: 128, 0: 64} {
		if got := connLimit(files); got != want {
			t.Errorf("%d files: got %d, want %d", files, got, want)
		}
	}
	if n := openFiles(); n < 64 {
		t.Errorf("%d files may be open", n)
	}
}

// All rooms together leave connections for those that wait, whatever the limit.
func TestRoomsLeaveConnections(t *testing.T) {
	t.Parallel()
	for limit := minConns; limit <= maxConns; limit++ {
		rooms, served := newRooms(limit), 0
		for k := range kinds {
			served += rooms.manage[k].size + rooms.others[k].size
		}
		if served > limit*7/8 {
			t.Fatalf("%d of %d connections may be serving", served, limit)
		}
	}
}

func TestRoom(t *testing.T) {
	t.Parallel()
	r := &room{size: 40, share: 10, taken: map[string]int{}}
	enter := func(client string) (n int, err error) {
		for {
			if err = r.enter(client); err != nil {
				return n, err
			}
			n++
		}
	}
	for _, client := range []string{"a", "b", "c"} {
		if n, err := enter(client); n != 10 || err != errTooMany {
			t.Errorf("%s has %d places: %v", client, n, err)
		}
	}
	for _, client := range []string{"d", "e"} { // the last quarter is for those that have little
		if n, err := enter(client); n != crowdedShare || err != errTooMany {
			t.Errorf("%s has %d places: %v", client, n, err)
		}
	}
	if n, err := enter("f"); n != 2 || err != errBusy {
		t.Errorf("the last has %d places: %v", n, err)
	}
	for range 10 {
		r.leave("a")
	}
	if _, known := r.taken["a"]; known || r.total != 30 {
		t.Errorf("%d places are taken, of %v", r.total, r.taken)
	}
	if err := r.enter("f"); err != nil {
		t.Error(err)
	}
}

func TestNetwork(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"127.0.0.1:5": "127.0.0.1/32", "[::1]:5": "::1/128", "[::ffff:192.168.1.5]:5": "192.168.1.5/32",
		"[2001:db8::5]:80": "2001:db8::/64", "[fe80::1%eth0]:80": "fe80::/64", "": "", "@": "",
	} {
		if got := network(in); got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
	}
}

func TestLimiters(t *testing.T) {
	t.Parallel()
	const burst, every = 20, 100 * time.Millisecond
	l := newLimiters(every, burst)
	now := time.Unix(1_000_000, 0)
	for i := range burst {
		if wait := l.wait("one", now); wait != 0 {
			t.Fatalf("time %d has to wait for %s", i, wait)
		}
	}
	for range 3 { // those that are turned away do not make it longer
		if wait := l.wait("one", now); wait != every {
			t.Errorf("one too many has to wait for %s", wait)
		}
	}
	if wait := l.wait("other", now); wait != 0 {
		t.Errorf("another client has to wait for %s", wait)
	}
	if wait := l.wait("one", now.Add(every)); wait != 0 {
		t.Errorf("after the wait: another %s", wait)
	}
	for i := range 3 * maxLimiters {
		l.wait(fmt.Sprint(i), now)
	}
	if n := len(l.byName); n > maxLimiters+1 {
		t.Errorf("%d clients are known", n)
	}
	if wait := l.wait("yet another", now); wait == 0 {
		t.Error("clients beyond those that are known have no limit")
	}
	if wait := l.wait("yet another", now.Add(time.Hour)); wait != 0 || len(l.byName) != 1 {
		t.Errorf("an hour later: %s to wait, %d clients are known", wait, len(l.byName))
	}
}

// A header that does not end is answered, and read no further.
func TestHugeHeader(t *testing.T) {
	t.Parallel()
	address := serveConns(t, maxConns, func(http.ResponseWriter, *http.Request) { t.Error("it was served") })
	conn := dial(t, address, "GET / HTTP/1.1\r\nHost: localhost\r\n")
	go func() {
		for range 64 {
			if _, err := io.WriteString(conn, "X: "+strings.Repeat("x", 16<<10)+"\r\n"); err != nil {
				return
			}
		}
	}()
	if resp := answerOf(t, conn); resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("got %s", resp.Status)
	}
}
