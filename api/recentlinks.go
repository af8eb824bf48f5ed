package api

import (
	"sync"
	"time"
)

// recentLinks are the answers of the audio routes for files on this machine, each kept for a moment, so that what many
// clients ask for at the same time is found out and signed once. What only the store has others may change there at any
// time. Whoever may not have an answer does not come as far as here.
type recentLinks struct {
	keep time.Duration // 0 keeps nothing

	mu      sync.Mutex
	answers map[linkRequest]recentLink // at most maxRecentLinks
}

type recentLink struct {
	body  []byte // JSON
	until time.Time
}

const maxRecentLinks = 512

// of is the answer to req, nil where it is not kept.
func (r *recentLinks) of(req linkRequest) []byte {
	if r.keep == 0 {
		return nil
	}
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if answer := r.answers[req]; now.Before(answer.until) {
		return answer.body
	}
	return nil
}

func (r *recentLinks) add(req linkRequest, body []byte) {
	if r.keep == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.answers == nil || len(r.answers) >= maxRecentLinks {
		r.answers = map[linkRequest]recentLink{}
	}
	r.answers[req] = recentLink{body, time.Now().Add(r.keep)}
}

// forget is for after something was changed that answers tell of.
func (r *recentLinks) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answers = nil
}
