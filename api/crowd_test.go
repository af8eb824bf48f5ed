package api

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// serveCrowd serves h within limits and returns its address.
func serveCrowd(t *testing.T, l limits, h http.HandlerFunc) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := newServer(h, l)
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

func answer(t *testing.T, conn net.Conn) *http.Response {
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
	address := serveCrowd(t, limits{conns: 8, perClient: 8, served: 6}, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "served")
	})
	kept := dial(t, address, getRequest) // one that was kept alive, older than all the others
	if resp := answer(t, kept); resp.StatusCode != 200 {
		t.Fatalf("got %s", resp.Status)
	}
	var slow []net.Conn
	for i := range 40 {
		slow = append(slow, dial(t, address, "GET / HTTP/1.1\r\nHost: local"[:i%20]))
	}
	for range 20 {
		if resp := answer(t, dial(t, address, getRequest)); resp.StatusCode != 200 {
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

// Those who were answered and do not send the rest of their body, for which net/http waits, keep nobody out either.
func TestSlowBodiesKeepNobodyOut(t *testing.T) {
	t.Parallel()
	address := serveCrowd(t, limits{conns: 8, perClient: 8, served: 6}, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
	})
	for range 40 {
		dial(t, address, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500\r\n\r\n{")
	}
	for range 20 {
		if resp := answer(t, dial(t, address, getRequest)); resp.StatusCode != http.StatusUnauthorized {
			t.Fatalf("got %s", resp.Status)
		}
	}
}

// What is being served is never cut off for others: they are told to come back, or hung up on.
func TestFullHouse(t *testing.T) {
	t.Parallel()
	entered, release := make(chan struct{}), make(chan struct{})
	address := serveCrowd(t, limits{conns: 4, perClient: 4, served: 2}, func(w http.ResponseWriter, _ *http.Request) {
		entered <- struct{}{}
		<-release
		_, _ = io.WriteString(w, "served to the end")
	})
	guests := []net.Conn{dial(t, address, getRequest), dial(t, address, getRequest)}
	for range guests {
		<-entered
	}
	for range 10 {
		resp := answer(t, dial(t, address, getRequest))
		if resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" || !resp.Close ||
			resp.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("got %s, %v", resp.Status, resp.Header)
		}
	}
	go func() {
		for range entered { // those that are let in from now on
		}
	}()
	close(release)
	for _, guest := range guests {
		if b, err := io.ReadAll(io.LimitReader(answer(t, guest).Body, 17)); string(b) != "served to the end" {
			t.Errorf("cut off: %q, %v", b, err)
		}
	}
	if resp := answer(t, dial(t, address, getRequest)); resp.StatusCode != 200 {
		t.Errorf("after the others have gone: %s", resp.Status)
	}
}

// strangerConn is a connection from some address.
type strangerConn struct {
	net.Conn
	remote string
	closed bool
}

func (c *strangerConn) RemoteAddr() net.Addr {
	addr, err := net.ResolveTCPAddr("tcp", c.remote)
	if err != nil {
		panic(err)
	}
	return addr
}

func (c *strangerConn) Close() error { c.closed = true; return nil }

// One other machine takes up no more than its share; this machine may, since a reverse proxy speaks for many.
func TestShareOfOneClient(t *testing.T) {
	t.Parallel()
	c := newCrowd(limits{conns: 10, perClient: 3, served: 10})
	join := func(remote string) (*strangerConn, *guest) {
		conn := &strangerConn{remote: remote}
		g, _ := c.join(context.Background(), conn).Value(guestKey{}).(*guest)
		return conn, g
	}
	var local []*strangerConn
	for i := range 5 {
		conn, g := join(fmt.Sprintf("127.0.0.1:%d", i+1))
		local = append(local, conn)
		if !c.enter(g) {
			t.Errorf("local request %d is refused", i)
		}
	}
	first, _ := join("[2001:db8::1]:1")
	var greedy []*guest
	for i := range 3 { // other addresses of the same network
		conn, g := join(fmt.Sprintf("[2001:db8::%d]:1", i+2))
		if conn.closed || !c.enter(g) {
			t.Fatalf("connection %d of the share is refused", i)
		}
		greedy = append(greedy, g)
	}
	if !first.closed {
		t.Error("the client's resting connection was not closed for its next one")
	}
	if conn, g := join("[2001:db8::9]:1"); !conn.closed || g != nil {
		t.Error("a connection beyond the share, with all in use, was let in")
	}
	if conn, g := join("[2001:db8:0:1::9]:1"); conn.closed || !c.enter(g) {
		t.Error("another client was kept out")
	}
	c.leave(greedy[0], false)
	if conn, _ := join("[2001:db8::9]:1"); !conn.closed {
		t.Error("a connection whose answer is being sent was closed for another")
	}
	c.moved(greedy[0].conn, http.StateIdle)
	if conn, _ := join("[2001:db8::9]:1"); conn.closed {
		t.Error("a connection within the share was refused")
	}
	for _, conn := range local {
		if conn.closed {
			t.Error("what was being served was cut off")
		}
	}
}

func TestLimitsOfOpenFiles(t *testing.T) {
	t.Parallel()
	for files, want := range map[int]limits{
		math.MaxInt: {conns: 1024, perClient: 256, served: 960}, 1024: {conns: 512, perClient: 128, served: 480},
		256: {conns: 128, perClient: 32, served: 120}, 0: {conns: 16, perClient: 4, served: 15},
	} {
		if got := serverLimits(files); got != want {
			t.Errorf("%d files: got %+v, want %+v", files, got, want)
		}
	}
	if n := openFiles(); n < 64 {
		t.Errorf("%d files may be open", n)
	}
}

func TestClientOf(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"127.0.0.1:5": "127.0.0.1/32", "[::1]:5": "::1/128", "[::ffff:192.168.1.5]:5": "192.168.1.5/32",
		"[2001:db8::5]:80": "2001:db8::/64", "[fe80::1%eth0]:80": "fe80::/64", "": "invalid Prefix", "@": "invalid Prefix",
	} {
		if got := clientOf(in).String(); got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
	}
}

func TestGuesses(t *testing.T) {
	t.Parallel()
	var g guesses
	now := time.Unix(1_000_000, 0)
	one, other := clientOf("192.168.1.5:1"), clientOf("192.168.1.6:1")
	for i := range guessBurst {
		if wait := g.wrong(one, now); wait != 0 {
			t.Fatalf("guess %d has to wait for %s", i, wait)
		}
	}
	for range 3 { // those that are turned away do not make it longer
		if wait := g.wrong(one, now); wait != guessInterval {
			t.Errorf("one too many has to wait for %s", wait)
		}
	}
	if wait := g.wrong(other, now); wait != 0 {
		t.Errorf("another client has to wait for %s", wait)
	}
	if wait := g.wrong(one, now.Add(guessInterval)); wait != 0 {
		t.Errorf("after the wait: another %s", wait)
	}
	for i := range 3 * maxGuessers {
		g.wrong(clientOf(fmt.Sprintf("10.%d.%d.%d:1", i>>16, i>>8&255, i&255)), now)
	}
	if n := len(g.clients); n > maxGuessers+1 {
		t.Errorf("%d clients are known", n)
	}
	if wait := g.wrong(clientOf("10.99.0.1:1"), now); wait == 0 {
		t.Error("clients beyond those that are known have no limit")
	}
	later := now.Add(time.Hour)
	if wait := g.wrong(clientOf("10.99.0.1:1"), later); wait != 0 || len(g.clients) != 1 {
		t.Errorf("an hour later: %s to wait, %d clients are known", wait, len(g.clients))
	}
}

// A header that does not end is answered, and read no further.
func TestHugeHeader(t *testing.T) {
	t.Parallel()
	address := serveCrowd(t, serverLimits(openFiles()), func(http.ResponseWriter, *http.Request) { t.Error("it was served") })
	conn := dial(t, address, "GET / HTTP/1.1\r\nHost: localhost\r\n")
	go func() {
		for range 64 {
			if _, err := io.WriteString(conn, "X: "+strings.Repeat("x", 16<<10)+"\r\n"); err != nil {
				return
			}
		}
	}()
	if resp := answer(t, conn); resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("got %s", resp.Status)
	}
}
