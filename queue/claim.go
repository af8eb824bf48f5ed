package queue

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/queue/db"
)

// Claim is one version of one file that the caller has taken on. It is settled once, by Done, Retry, Block, Changed,
// Gone, Defer or Release; the path is not claimed again before that. Where writing the outcome fails the claim stays
// open: settle it again, or Release it, which needs no writing.
type Claim struct {
	Path    codestory.Path
	Version codestory.Version
	Attempt int     // from 1
	Stored  *Stored // what this destination has of an older version; nil for nothing
	Lost    bool    // the store may have this version, which was known once and lost with a database: ask it

	// Doubtful: a version between that of Stored and this one may have been sent. What the store has may be that one, as
	// where the daemon was killed before its outcome was written down.
	Doubtful bool

	// Elsewhere: another destination has this version or an older one. It may be this one by another name.
	Elsewhere bool

	q          *Queue
	generation uint64
	noted      string // the ETag of an upload that was not answered, if this claim was the first to note it
}

// Next claims the most urgent file that nobody has claimed, and waits for one where there is none. Its error is ctx's,
// or the database's. Once ctx has ended it claims nothing, however much waits,
// and while the queue is paused it hands out nothing.
func (q *Queue) Next(ctx context.Context) (*Claim, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		q.mu.Lock()
		changed := q.changed
		q.awaited = true
		q.mu.Unlock()
		now := time.Now().Round(0)
		if _, err := q.promote(now); err != nil {
			return nil, err
		}
		c, due, err := q.claim(now)
		if c != nil || err != nil {
			return c, err
		}
		if err := wait(ctx, changed, due); err != nil {
			return nil, err
		}
	}
}

// checkAgain bounds how long a due time is slept on in one go, so that a clock that is set forward, or a lid that was
// closed meanwhile, delays an attempt by no more than this.
const checkAgain = 30 * time.Second

// wait returns when the queue has changed or due has come; due is zero for never.
func wait(ctx context.Context, changed <-chan struct{}, due time.Time) error {
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
		Elsewhere: r.stored.destination != 0 && r.stored.destination != q.destination,
		Lost:      q.recovery.mayHave(r.version),
		Doubtful:  r.stored.destination != 0 && r.generation > r.stored.generation+1,
		q:         q, generation: r.generation,
	}
	q.claimed[path] = c
	return c
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

// Done records that the store has this version. Where a newer one was settled meanwhile, that one waits.
func (c *Claim) Done(object Stored) error {
	return c.settle(func(ch *change, r record, now time.Time) error {
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
	})
}

// Retry lets the item wait until due, a day from now at most, and says why.
func (c *Claim) Retry(due time.Time, reason string) error {
	return c.settleCurrent(func(next *record) {
		next.state, next.due, next.reason = stateRetrying, nanoseconds(due), reason
		next.attempt++
	})
}

// Block lets the item wait for a person, and says why. A new version of the file ends that too.
func (c *Claim) Block(reason string) error {
	return c.settleCurrent(func(next *record) {
		next.state, next.reason = stateBlocked, reason
		next.attempt++
	})
}

// Changed says that the file is no longer the version that was claimed. It waits to be enqueued anew.
func (c *Claim) Changed() error {
	return c.settleCurrent(func(next *record) { next.state = stateSettling })
}

// Gone says that there is no such file any more.
func (c *Claim) Gone() error {
	return c.settle(func(ch *change, r record, _ time.Time) error {
		if r.generation != c.generation {
			return nil
		}
		return ch.gone(string(c.Path), r)
	})
}

// Release gives the item back untouched. A claim that was settled already is not anybody's any more: it does nothing.
func (c *Claim) Release() {
	c.q.mu.Lock()
	if c.q.claimed[string(c.Path)] == c {
		delete(c.q.claimed, string(c.Path))
	}
	c.q.mu.Unlock()
	c.q.announce()
}

// settleCurrent changes the record by edit, unless a newer version has taken the claimed one's place.
func (c *Claim) settleCurrent(edit func(next *record)) error {
	return c.settle(func(ch *change, r record, _ time.Time) error {
		if r.generation != c.generation {
			return nil
		}
		next := r
		edit(&next)
		return ch.put(string(c.Path), r, true, next)
	})
}

func (c *Claim) settle(outcome func(ch *change, r record, now time.Time) error) error {
	now := time.Now().Round(0)
	err := c.q.commit(func(ch *change) error {
		r, ok, err := getRecord(ch.tx, string(c.Path))
		if err != nil || !ok {
			return err
		}
		return outcome(ch, r, now)
	})
	if err == nil {
		c.q.forgive(string(c.Path))
		c.Release()
	}
	return err
}
