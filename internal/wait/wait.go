// Package wait holds the ways in which goroutines wait: for a time, for news, for longer after each failure. It must not
// know what they wait for.
package wait

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// Sleep waits that long, and reports whether ctx is still good.
func Sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// Broadcast wakes everybody who waits for a change. Its zero value is ready; all methods may be called concurrently.
type Broadcast struct {
	mu      sync.Mutex
	changed chan struct{} // nil if nobody waits
}

// Changed returns a channel that the next Announce closes. Ask for it first, and look at what may have changed after that.
func (b *Broadcast) Changed() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.changed == nil {
		b.changed = make(chan struct{})
	}
	return b.changed
}

// Announce wakes those who wait.
func (b *Broadcast) Announce() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.changed != nil {
		close(b.changed)
		b.changed = nil
	}
}

// Backoff spaces attempts: the delay doubles from First up to Most, and has full jitter, so that many that failed
// together do not come back together (Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015). A
// tenth of it is never cut, so that no jitter makes a storm.
type Backoff struct{ First, Most time.Duration }

// After is the delay after that many failures in a row, from 1.
func (b Backoff) After(failures int) time.Duration {
	d := b.Most
	if n := max(0, failures-1); n < 32 && b.First<<n < b.Most {
		d = b.First << n
	}
	return d/10 + rand.N(d-d/10)
}
