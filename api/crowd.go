package api

import (
	"container/list"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// limits bound what clients may take up at the same time. A connection costs a file descriptor and some 10 KiB, and a
// stream that is paused may last for hours.
type limits struct {
	conns     int // connections
	perClient int // connections of one other machine, and requests served to it
	served    int // requests served; fewer than conns, which leaves some to be told to come back later
}

// maxConns is the number of connections where the system sets no lower one.
const maxConns = 1024

// serverLimits are those of a process that may have so many files open: half of them are left for what is served, and
// for all else.
func serverLimits(files int) limits {
	conns := min(maxConns, max(files/2, 16))
	return limits{conns: conns, perClient: conns / 4, served: conns - conns/16}
}

// crowd is who is connected. Where there is no room for another one, the connection that has waited longest is closed:
// one that was kept alive for a next request, or has not brought its first. So connections that are opened and left, or
// that send a header byte by byte, keep nobody out. While all are being served, others are told to come back.
type crowd struct {
	limits

	mu      sync.Mutex // guards what follows
	guests  map[net.Conn]*guest
	resting *list.List // of *guest, those to whom nothing is served; who has rested longest comes first
	served  int        // requests
	clients map[netip.Prefix]share
}

// share is what one client takes up.
type share struct{ conns, served int }

// guest is one connection.
type guest struct {
	conn   net.Conn
	client netip.Prefix
	served int           // requests; more than one with HTTP/2
	rests  *list.Element // its place in crowd.resting; nil while it does not rest
	gone   bool          // no guest any more
	// left is when its last answer was made, which may not be sent to its end; zero once it is, or where the answer
	// has to wait for the client: net/http reads the rest of a body first, which may never come.
	left time.Time
}

// answerTime is how long an answer has to be sent before its connection counts as one that rests.
const answerTime = 250 * time.Millisecond

type guestKey struct{}

func newCrowd(l limits) *crowd {
	return &crowd{limits: l, guests: map[net.Conn]*guest{}, resting: list.New(), clients: map[netip.Prefix]share{}}
}

// join makes room for a new connection. It is http.Server's ConnContext.
func (c *crowd) join(ctx context.Context, conn net.Conn) context.Context {
	g := &guest{conn: conn, client: clientOf(conn.RemoteAddr().String())}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.makeRoom(g.client) {
		hangUp(conn)
		return ctx
	}
	c.guests[conn] = g
	c.account(g.client, 1, 0)
	c.rest(g)
	return context.WithValue(ctx, guestKey{}, g)
}

// makeRoom closes a connection where another one of the client would be too many. False means that all are in use.
func (c *crowd) makeRoom(client netip.Prefix) bool {
	oneOfClient := !isThisMachine(client) && c.clients[client].conns >= c.limits.perClient
	if !oneOfClient && len(c.guests) < c.limits.conns {
		return true
	}
	now := time.Now()
	for place := c.resting.Front(); place != nil; place = place.Next() {
		g := place.Value.(*guest)
		if oneOfClient && g.client != client || now.Sub(g.left) < answerTime {
			continue
		}
		c.remove(g)
		hangUp(g.conn)
		return true
	}
	return false
}

// moved is http.Server's ConnState.
func (c *crowd) moved(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	g := c.guests[conn]
	switch {
	case g == nil:
	case state == http.StateClosed || state == http.StateHijacked:
		c.remove(g)
	case state == http.StateIdle && g.served == 0:
		g.left = time.Time{}
		c.rest(g)
	}
}

func (c *crowd) remove(g *guest) {
	g.gone = true
	delete(c.guests, g.conn)
	c.account(g.client, -1, 0)
	c.wake(g)
}

// rest puts a guest behind those that rest.
func (c *crowd) rest(g *guest) {
	if g.rests == nil && !g.gone {
		g.rests = c.resting.PushBack(g)
	}
}

// wake takes a guest out of those that rest.
func (c *crowd) wake(g *guest) {
	if g.rests != nil {
		c.resting.Remove(g.rests)
		g.rests = nil
	}
}

func (c *crowd) account(client netip.Prefix, conns, served int) {
	s := c.clients[client]
	s.conns += conns
	s.served += served
	if c.clients[client] = s; s == (share{}) {
		delete(c.clients, client)
	}
}

var errBusy = newProblem(http.StatusServiceUnavailable, "busy", "too many requests are being served: try again later")

// guard serves no more requests at once than the limits allow.
func (c *crowd) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g, known := r.Context().Value(guestKey{}).(*guest)
		if !known { // its connection was closed a moment ago, or there is none, as in tests
			next.ServeHTTP(w, r)
			return
		}
		if !c.enter(g) {
			w.Header().Set("Connection", "close")
			errBusy.write(w)
			return
		}
		defer c.leave(g, r.ContentLength != 0)
		next.ServeHTTP(w, r)
	})
}

func (c *crowd) enter(g *guest) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.served >= c.limits.served || !isThisMachine(g.client) && c.clients[g.client].served >= c.limits.perClient {
		return false // it rests on
	}
	c.wake(g)
	g.served++
	c.served++
	c.account(g.client, 0, 1)
	return true
}

func (c *crowd) leave(g *guest, hadBody bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	g.served--
	c.served--
	c.account(g.client, 0, -1)
	if g.served == 0 {
		if !hadBody {
			g.left = time.Now()
		}
		c.rest(g)
	}
}

// hangUp closes the connection itself: one with TLS would say goodbye first, and wait for it.
func hangUp(conn net.Conn) {
	if encrypted, ok := conn.(*tls.Conn); ok {
		conn = encrypted.NetConn()
	}
	_ = conn.Close()
}

// clientOf is whom a remote address belongs to: an address of IPv4, or a network of IPv6, of which one machine has as
// many addresses as it likes.
func clientOf(remoteAddr string) netip.Prefix {
	remote, err := netip.ParseAddrPort(remoteAddr)
	if err != nil {
		return netip.Prefix{}
	}
	addr, bits := remote.Addr().Unmap(), 64
	if addr.Is4() {
		bits = 32
	}
	if addr.IsLoopback() {
		bits = addr.BitLen()
	}
	client, _ := addr.WithZone("").Prefix(bits)
	return client
}

// isThisMachine reports whether a client is on this machine, where a reverse proxy may speak for many others.
func isThisMachine(client netip.Prefix) bool { return !client.IsValid() || client.Addr().IsLoopback() }
