package queue

import "time"

// An item that met a fault of the store is deferred: it waits untouched, but others go first for a while. So one that
// the store denies for its own sake does not stand before all that the store would take. It is kept in memory only.
type deferral struct {
	times int
	until time.Time
}

const (
	firstDeferral = 10 * time.Minute // twice as long each time in a row
	lastDeferral  = 6 * time.Hour
)

// Defer gives the item back untouched, and lets others go first for a while. Where nothing else waits it does not wait
// either.
func (c *Claim) Defer() {
	c.q.mu.Lock()
	d := c.q.deferred[string(c.Path)]
	d.until = time.Now().Round(0).Add(min(firstDeferral<<min(d.times, 10), lastDeferral))
	d.times++
	c.q.deferred[string(c.Path)] = d
	c.q.mu.Unlock()
	c.Release()
}

// forgive ends a deferral.
func (q *Queue) forgive(path string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.deferred, path)
}
