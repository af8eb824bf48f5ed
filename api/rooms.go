package api

import (
	"net/http"
	"sync"
	"time"

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

// storyClient is whoever has the KEY of the story or a link to a file of it.
func storyClient(id codestory.StoryID) client { return client{name: "story " + string(id)} }

func libraryClient(user string) client { return client{name: "library " + user} }

// serve calls h if there is a place for the client, and keeps the place until h returns. The context of h's request limits
// how often the store is asked for what is not known here; scope manage has no such limit.
func (r *rooms) serve(req *http.Request, c client, k kind, h func(*http.Request) error) error {
	in := r.others[k]
	if c.manages {
		in = r.manage[k]
	} else {
		req = req.WithContext(codestory.WithAskLimit(req.Context(), func() error {
			if r.asks.wait(c.name, time.Now()) > 0 {
				return errTooOften
			}
			return nil
		}))
	}
	if err := in.enter(c.name); err != nil {
		return err
	}
	defer in.leave(c.name)
	return h(req)
}
