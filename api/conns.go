package api

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"time"
)

// conns bounds the connections of a server. If there are too many, the one that has waited longest is closed: it was kept
// alive for a next request, or has not sent its first. Never all connections serve requests at the same
// time (see rooms), so there is one to close, and a new client need not wait.
type conns struct {
	limit int

	mu   sync.Mutex // guards what follows
	open map[net.Conn]*conn
}

type conn struct {
	serving int       // requests; more than one with HTTP/2
	since   time.Time // it waits since then, unless it is serving
}

type connKey struct{}

func newConns(limit int) *conns { return &conns{limit: limit, open: map[net.Conn]*conn{}} }

const (
	maxConns = 1024
	minConns = 64
)

// connLimit is the limit for a process that may have that many files open. The other half is for the files that are
// served and for everything else.
func connLimit(files int) int { return min(maxConns, max(files/2, minConns)) }

// accept makes room for a new connection. It is http.Server's ConnContext.
func (c *conns) accept(ctx context.Context, nc net.Conn) context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.open) >= c.limit && !c.closeOldest() {
		hangUp(nc)
		return ctx
	}
	opened := &conn{since: time.Now()}
	c.open[nc] = opened
	return context.WithValue(ctx, connKey{}, opened)
}

// closeOldest closes the connection that has waited longest. It returns false if all are serving. The caller holds mu.
func (c *conns) closeOldest() bool {
	var oldest net.Conn
	var since time.Time
	for nc, o := range c.open {
		if o.serving == 0 && (oldest == nil || o.since.Before(since)) {
			oldest, since = nc, o.since
		}
	}
	if oldest == nil {
		return false
	}
	delete(c.open, oldest)
	hangUp(oldest)
	return true
}

// changed is http.Server's ConnState.
func (c *conns) changed(nc net.Conn, state http.ConnState) {
	if state == http.StateClosed || state == http.StateHijacked {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.open, nc)
	}
}

// track marks the connections that are serving a request. A connection whose answer is made waits again, although
// net/http may still have to send the end of it or to read the rest of a body: that can depend on a client that does nothing.
func (c *conns) track(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if o, ok := r.Context().Value(connKey{}).(*conn); ok {
			c.serve(o, 1)
			defer c.serve(o, -1)
		}
		next.ServeHTTP(w, r)
	})
}

func (c *conns) serve(o *conn, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	o.serving += n
	o.since = time.Now()
}

// hangUp closes the connection itself: tls.Conn.Close would first send an alert, which can block.
func hangUp(nc net.Conn) {
	if encrypted, ok := nc.(*tls.Conn); ok {
		nc = encrypted.NetConn()
	}
	_ = nc.Close()
}
