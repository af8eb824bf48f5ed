package queue

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/queue/db"
)

// Claim is one version of one file that the caller has taken on. Finish ends it, or Release, which needs no writing; the
// path is not claimed again before that.
type Claim struct {
	Path    codestory.Path
	Version codestory.Version
	Attempt int     // from 1
	Stored  *Stored // what this destination has of an older version; nil for nothing

	// MayExist: the store may have these bytes, and the index cannot tell. Ask the store before they are sent.
	MayExist bool

	q          *Queue
	generation uint64
	noted      string // the ETag of an upload that was not answered, if this claim was the first to note it
}

// Outcome is how a claim ends.
type Outcome struct {
	Kind   OutcomeKind
	Object Stored    // of Done
	Due    time.Time // of Retry: a day from now at most
	Reason string    // of Retry and Block, for people

	// Unanswered is the ETag that an object has of an upload that was sent whole and not answered; "" if there is none.
	Unanswered string
}

// OutcomeKind says what becomes of the item.
type OutcomeKind int

const (
	Released OutcomeKind = iota // goes back untouched
	Deferred                    // goes back untouched, and lets others go first for a while
	Done                        // the store has this version; a newer one that settled meanwhile waits
	Gone                        // there is no such file any more
	Changed                     // the file is no longer the version that was claimed: it waits to be enqueued again
	Retry                       // waits until Due
	Block                       // waits for a person, or a new version
)

// Next claims the most urgent file that nobody has claimed, and waits for one where there is none. Its error is ctx's,
// or the database's. Once ctx has ended it claims nothing, however much waits,
// and while the queue is paused it hands out nothing.
func (q *Queue) Next(ctx context.Context) (*Claim, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		changed := q.changed.Changed()
		now := time.Now().Round(0)
		if _, err := q.promote(now); err != nil {
			return nil, err
		}
		c, due, err := q.claim(now)
		if c != nil || err != nil {
			return c, err
		}
		if err := waitUntil(ctx, changed, due); err != nil {
			return nil, err
		}
	}
}

// checkAgain bounds how long a due time is slept on in one go, so that a clock that is set forward, or a lid that was
// closed meanwhile, delays an attempt by no more than this.
const checkAgain = 30 * time.Second

// waitUntil returns when the queue has changed or due has come; due is zero for never.
func waitUntil(ctx context.Context, changed <-chan struct{}, due time.Time) error {
	var alarm <-chan time.Time
	if !due.IsZero() {
		t := time.NewTimer(min(time.Until(due), checkAgain))
		defer t.Stop()
		alarm = t.C
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-changed:
	case <-alarm:
	}
	return nil
}

// claim takes the first ready item that is not claimed. Where there is none it returns when the next one is due.
func (q *Queue) claim(now time.Time) (c *Claim, due time.Time, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	err = q.view(func(tx *db.Tx) error {
		if isPaused(tx) {
			return nil
		}
		order, path, err := q.mostUrgent(tx, now)
		if err != nil {
			return err
		}
		if path == "" {
			if ns, _, ok := firstOf(tx, bucketDue); ok {
				due = unixTime(ns)
			}
			return nil
		}
		r, ok, err := getRecord(tx, path)
		if err != nil {
			return err
		}
		if !ok || r.state != stateQueued || r.order != order {
			return fmt.Errorf("%w: %q is in the index and its record is not for that place", ErrDamaged, path)
		}
		c = q.newClaim(path, r)
		return nil
	})
	return c, due, err
}

// mostUrgent is the first ready path that nobody has claimed, and that is not deferred unless all are, with its place;
// "" for none. The caller holds mu.
func (q *Queue) mostUrgent(tx *db.Tx, now time.Time) (order int64, path string, err error) {
	var deferredOrder int64
	deferred := ""
	cursor := tx.Bucket(bucketReady).Cursor()
	for k, _ := cursor.First(); k != nil; k, _ = cursor.Next() {
		order, path, ok := splitIndexKey(k)
		if !ok {
			return 0, "", fmt.Errorf("%w: an index entry of %d bytes", ErrDamaged, len(k))
		}
		if _, taken := q.claimed[path]; taken {
			continue
		}
		if !q.deferred[path].until.After(now) {
			return order, path, nil
		}
		if deferred == "" {
			deferredOrder, deferred = order, path
		}
	}
	return deferredOrder, deferred, nil
}

func (q *Queue) newClaim(path string, r record) *Claim {
	c := &Claim{
		Path: codestory.Path(path), Version: r.version, Attempt: int(r.attempt) + 1, Stored: q.storedHere(r),
		MayExist: q.mayExist(r),
		q:        q, generation: r.generation,
	}
	q.claimed[path] = c
	return c
}

// mayExist reports whether the store may have the record's version without the index being able to tell. The caller holds
// mu.
func (q *Queue) mayExist(r record) bool {
	stored := q.storedHere(r)
	switch {
	case q.recovery.mayHave(r.version): // known once, and lost with a database
		return true
	case stored == nil: // another destination may be this one by another name
		return r.stored.destination != 0
	case stored.Size != r.version.Size:
		return false
	default: // a version between the stored one and this one may have been sent, as if killed before it was written down
		return stored.MD5 == "" || r.generation > r.stored.generation+1
	}
}

// promoteAtOnce bounds one transaction of promote.
const promoteAtOnce = 1000

// promote puts items whose time has come among those that may be claimed, in the place of their urgency. It reports
// whether there were some.
func (q *Queue) promote(now time.Time) (some bool, err error) {
	err = q.view(func(tx *db.Tx) error {
		some = len(duePaths(tx, now, 1)) > 0
		return nil
	})
	if err != nil || !some {
		return false, err
	}
	return true, q.commit(func(ch *change) error {
		// Looked up again: since then another call may have promoted them, and they may have been put off once more.
		for _, path := range duePaths(ch.tx, now, promoteAtOnce) {
			r, ok, err := getRecord(ch.tx, path)
			if err != nil {
				return err
			}
			if !ok || r.state != stateRetrying {
				return fmt.Errorf("%w: %q is in the index and does not wait for its time", ErrDamaged, path)
			}
			next := r
			next.state, next.due = stateQueued, 0
			if err := ch.put(path, r, true, next); err != nil {
				return err
			}
		}
		return nil
	})
}

// Hasten lets nothing wait for its next attempt any longer: after the machine has slept there is no reason to, and a
// clock that was set back would make it wait for longer than was meant.
func (q *Queue) Hasten() error {
	defer q.announce()
	for {
		some, err := q.promote(time.Unix(0, math.MaxInt64))
		if err != nil || !some {
			return err
		}
	}
}

// farthest is how far ahead a due time may be. What is farther was written while the clock was wrong, and is due.
const farthest = 24 * time.Hour

// duePaths are limit items at most whose time has come.
func duePaths(tx *db.Tx, now time.Time, limit int) (paths []string) {
	c := tx.Bucket(bucketDue).Cursor()
	for k, _ := c.First(); k != nil && len(paths) < limit; k, _ = c.Next() {
		ns, path, ok := splitIndexKey(k)
		if !ok || unixTime(ns).After(now) {
			break
		}
		paths = append(paths, path)
	}
	for k, _ := c.Last(); k != nil && len(paths) < limit; k, _ = c.Prev() {
		ns, path, ok := splitIndexKey(k)
		if !ok || !unixTime(ns).After(now.Add(farthest)) {
			break
		}
		paths = append(paths, path)
	}
	return paths
}

// Current reports whether this version is still the one to upload: no newer one was settled, and no person has dropped
// the file or deleted its story.
func (c *Claim) Current() (current bool, err error) {
	err = c.q.view(func(tx *db.Tx) error {
		r, ok, err := getRecord(tx, string(c.Path))
		current = ok && r.generation == c.generation
		return err
	})
	return current, err
}

// Finish records the outcome. If that fails the claim stays open: call it again, or Release.
func (c *Claim) Finish(o Outcome) error {
	if o.Unanswered != "" {
		if err := c.Unanswered(o.Unanswered); err != nil {
			return err
		}
	}
	switch o.Kind {
	case Released:
		c.Release()
		return nil
	case Deferred:
		c.q.putOff(string(c.Path))
		c.Release()
		return nil
	}
	now := time.Now().Round(0)
	err := c.q.commit(func(ch *change) error {
		r, ok, err := getRecord(ch.tx, string(c.Path))
		if err != nil || !ok {
			return err
		}
		if o.Kind == Done {
			return c.done(ch, r, o.Object, now)
		}
		if r.generation != c.generation { // a newer version has taken its place
			return nil
		}
		if o.Kind == Gone {
			return ch.gone(string(c.Path), r)
		}
		return ch.put(string(c.Path), r, true, o.waiting(r))
	})
	if err == nil {
		c.q.forgive(string(c.Path))
		c.Release()
	}
	return err
}

// Release gives the item back untouched. It is a no-op if the claim has ended.
func (c *Claim) Release() {
	c.q.mu.Lock()
	if c.q.claimed[string(c.Path)] == c {
		delete(c.q.claimed, string(c.Path))
	}
	c.q.mu.Unlock()
	c.q.announce()
}

// done records that the store has this version.
func (c *Claim) done(ch *change, r record, object Stored, now time.Time) error {
	if err := ch.forgetUpload(string(c.Path), c.generation); err != nil {
		return err
	}
	if c.noted != "" { // answered after all
		if err := ch.tx.Bucket(bucketUnanswered).Delete(unansweredKey(string(c.Path), c.noted)); err != nil {
			return err
		}
	}
	next := r
	next.stored = object.record(ch.destination, c.generation, now)
	if r.generation == c.generation {
		next = record{state: stateSynced, generation: r.generation, version: r.version, stored: next.stored, note: r.note}
		if err := ch.overtaken(string(c.Path)); err != nil {
			return err
		}
	} else if ch.tx.Bucket(bucketRemovals).Get([]byte(c.Path)) != nil {
		return nil // the story was deleted meanwhile, and the object is about to be
	}
	return ch.put(string(c.Path), r, true, next)
}

// waiting is the record of an item that was not uploaded.
func (o Outcome) waiting(r record) record {
	switch o.Kind {
	case Changed:
		r.state = stateSettling
	case Retry:
		r.state, r.due, r.reason = stateRetrying, nanoseconds(o.Due), o.Reason
		r.attempt++
	case Block:
		r.state, r.reason = stateBlocked, o.Reason
		r.attempt++
	}
	return r
}

// A deferral: an item that met a fault of the store waits untouched, but others go first for a while. So one that the
// store denies for its own sake does not stand before all that the store would take. It is kept in memory only.
type deferral struct {
	times int
	until time.Time
}

const (
	firstDeferral = 10 * time.Minute // twice as long each time in a row
	lastDeferral  = 6 * time.Hour
)

// putOff lets others go before the path for a while. If nothing else waits it does not wait either.
func (q *Queue) putOff(path string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	d := q.deferred[path]
	d.until = time.Now().Round(0).Add(min(firstDeferral<<min(d.times, 10), lastDeferral))
	d.times++
	q.deferred[path] = d
}

// forgive ends a deferral.
func (q *Queue) forgive(path string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.deferred, path)
}
