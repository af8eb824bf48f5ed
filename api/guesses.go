package api

import (
	"maps"
	"net/netip"
	"sync"
	"time"
)

// A client that brings wrong tokens, one after the other, is told to wait. A right token is always heard: else whoever
// shares an address with a guesser, as behind a reverse proxy, would be locked out. Nobody guesses 256 bits either way;
// this is for programs that go on and on with a token that has ended, and well-behaved ones among them heed it.
const (
	guessBurst    = 200                    // wrong tokens at once
	guessInterval = 100 * time.Millisecond // until one more
	maxGuessers   = 4096                   // clients that are told apart
	sweepInterval = time.Second            // between two looks at all of them
)

// guesses is who has brought wrong tokens. The zero value is ready.
type guesses struct {
	mu      sync.Mutex
	clients map[netip.Prefix]time.Time // when each has made up for all of its guesses
	swept   time.Time                  // those who had were forgotten
}

// wrong counts a wrong token of a client. wait is how long it has to wait before its next one; 0 is not at all.
func (g *guesses) wrong(client netip.Prefix, now time.Time) (wait time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	free, known := g.clients[client]
	if !known {
		client = g.room(client, now)
		free = g.clients[client]
	}
	if free.Before(now) {
		free = now
	}
	if wait = free.Sub(now) - (guessBurst-1)*guessInterval; wait > 0 {
		return wait
	}
	g.clients[client] = free.Add(guessInterval)
	return 0
}

// room is the name to count a new client under: its own, or that of all others where too many are known.
func (g *guesses) room(client netip.Prefix, now time.Time) netip.Prefix {
	if g.clients == nil {
		g.clients = map[netip.Prefix]time.Time{}
	}
	if len(g.clients) < maxGuessers {
		return client
	}
	if now.Sub(g.swept) >= sweepInterval {
		g.swept = now
		maps.DeleteFunc(g.clients, func(_ netip.Prefix, free time.Time) bool { return free.Before(now) })
	}
	if len(g.clients) < maxGuessers {
		return client
	}
	return netip.Prefix{}
}
