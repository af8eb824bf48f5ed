package api

import (
	"context"
	"crypto/tls"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/codestory/codestoryd"
)

// What holds, whatever clients do: a client whose requests have their share does not keep others from being answered.
//
//  1. A request that can last is served in a room, after its client is known by token, KEY or signature. A room holds a
//     limited number of requests, and each client has a share of it.
//  2. Scope manage has rooms of its own. /healthz, /readyz and refusals need none: they take no time.
//  3. All rooms together hold at most seven eighths of the connections. So there are always some that wait for a request,
//     and the oldest of them is closed for a new one (see conns).
//  4. An answer that makes no progress ends (see answerPatience and streamPatience), so no place is taken for ever.

// kind is what a request takes its place for.
type kind int

const (
	answers kind = iota // a short answer
	streams             // one that lasts as long as its client wants: events, and the bytes of files
	feeds               // one that is large and made in memory
	kinds
)

// room is where requests of one kind are served.
type room struct {
	size  int // requests at the same time
	share int // of one client

	mu    sync.Mutex // guards what follows
	taken map[string]int
	total int
}

// crowdedShare is the share of a client while three quarters of a room are taken.
const crowdedShare = 4

var (
	errBusy     = newProblem(http.StatusServiceUnavailable, "busy", "the daemon is serving too many requests: try again later")
	errTooMany  = newProblem(http.StatusTooManyRequests, "too_many_requests", "too many requests with this token, KEY or link are being served: end some, or try again later")
	errTooOften = newProblem(http.StatusTooManyRequests, "too_many_requests", "too many requests for what this daemon does not know: try again later")
)

// enter takes a place for the client. The error is errTooMany if it has its share, errBusy if the room is full.
func (r *room) enter(client string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	share := r.share
	if r.total >= r.size*3/4 {
		share = min(share, crowdedShare)
	}
	switch {
	case r.taken[client] >= share:
		return errTooMany
	case r.total >= r.size:
		return errBusy
	}
	r.taken[client]++
	r.total++
	return nil
}

func (r *room) leave(client string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.total--
	if r.taken[client]--; r.taken[client] == 0 {
		delete(r.taken, client)
	}
}

// rooms are those of scope manage and those of everybody else.
type rooms struct {
	manage, others [kinds]*room
	asks           limiters // for what only the store can know
}

const (
	askBurst = 20
	askEvery = 200 * time.Millisecond
)

// newRooms divides a number of connections.
func newRooms(conns int) *rooms {
	// A share is at least 2: a player asks for the next range before the last one has ended.
	divide := func(size, share int) *room {
		return &room{size: max(4, conns/size), share: max(2, conns/share), taken: map[string]int{}}
	}
	return &rooms{
		others: [kinds]*room{answers: divide(8, 32), streams: divide(2, 8), feeds: divide(64, 256)},
		manage: [kinds]*room{answers: divide(16, 16), streams: divide(32, 32), feeds: divide(64, 64)},
		asks:   newLimiters(askEvery, askBurst),
	}
}

// client is who a request is served for.
type client struct {
	name    string // of a token, KEY or link; no two have the same
	manages bool
}

func clientOf(caller codestory.Token) client {
	return client{"token " + caller.Name + "\x00" + caller.User, caller.Scope == codestory.ScopeManage}
}

// storyClient is any holder of the KEY of the story or a link to a file of it.
func storyClient(id codestory.StoryID) client { return client{name: "story " + string(id)} }

func libraryClient(user string) client { return client{name: "library " + user} }

// enter takes a place for the client, which leave gives back. Then the request's context limits how often the store is
// asked for what is not known here, unless the client has scope manage.
func (r *rooms) enter(req *request, c client, k kind) (leave func(), err error) {
	in := r.others[k]
	if c.manages {
		in = r.manage[k]
	} else {
		req.Request = req.WithContext(codestory.WithAskLimit(req.Context(), func() error {
			if r.asks.wait(c.name, time.Now()) > 0 {
				return errTooOften
			}
			return nil
		}))
	}
	if err := in.enter(c.name); err != nil {
		return nil, err
	}
	return func() { in.leave(c.name) }, nil
}

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

// maxLimiters is how many clients have a limiter of their own.
const maxLimiters = 4096

// limiters bound how often each client does something.
type limiters struct {
	every time.Duration
	burst int

	mu     sync.Mutex // guards what follows
	byName map[string]*rate.Limiter
}

func newLimiters(every time.Duration, burst int) limiters {
	return limiters{every: every, burst: burst, byName: map[string]*rate.Limiter{}}
}

// wait counts one more time of the client. It returns how long the client has to wait first, and counts nothing then; 0 is
// not at all.
func (l *limiters) wait(client string, now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	limiter := l.of(client, now)
	if limiter.AllowN(now, 1) {
		return 0
	}
	return time.Duration((1 - limiter.TokensAt(now)) * float64(l.every))
}

// of is the client's limiter. If too many clients have one, those beyond share the limiter of the name "".
func (l *limiters) of(client string, now time.Time) *rate.Limiter {
	if limiter := l.byName[client]; limiter != nil {
		return limiter
	}
	if len(l.byName) >= maxLimiters {
		maps.DeleteFunc(l.byName, func(_ string, limiter *rate.Limiter) bool {
			return limiter.TokensAt(now) >= float64(l.burst)
		})
	}
	if len(l.byName) >= maxLimiters {
		client = ""
	}
	if l.byName[client] == nil {
		l.byName[client] = rate.NewLimiter(rate.Every(l.every), l.burst)
	}
	return l.byName[client]
}

// network is what a remote address belongs to: the address for IPv4, and the /64 for IPv6, in which one machine has as many
// addresses as it likes.
func network(remoteAddr string) string {
	remote, err := netip.ParseAddrPort(remoteAddr)
	if err != nil {
		return ""
	}
	addr, bits := remote.Addr().Unmap().WithZone(""), 64
	if addr.Is4() || addr.IsLoopback() {
		bits = addr.BitLen()
	}
	prefix, _ := addr.Prefix(bits)
	return prefix.String()
}
