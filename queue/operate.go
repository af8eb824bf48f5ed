package queue

import (
	"fmt"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/queue/db"
)

// What a person may do to the queue.

// Retry tries the item at once, whether it waits for its time or for a person, and counts its attempts anew. One that
// is queued already is left as it is. The error wraps codestory.ErrNotFound where the path does not wait.
func (q *Queue) Retry(path string) error {
	err := q.commit(func(ch *change) error {
		r, ok, err := getRecord(ch.tx, path)
		if err != nil {
			return err
		}
		switch {
		case ok && r.state == stateQueued:
			return nil
		case !ok || r.state != stateRetrying && r.state != stateBlocked:
			return fmt.Errorf("%q does not wait: %w", path, codestory.ErrNotFound)
		}
		return ch.retry(path, r)
	})
	q.announce()
	return err
}

// RetryAll does what Retry does for every item, and returns how many there were.
func (q *Queue) RetryAll() (n int, err error) {
	defer q.announce()
	for {
		var some int
		err := q.commit(func(ch *change) error {
			some = 0
			for _, path := range firstPaths(ch.tx, promoteAtOnce, bucketDue, bucketBlocked) {
				r, ok, err := getRecord(ch.tx, path)
				if err != nil {
					return err
				}
				if !ok {
					return fmt.Errorf("%w: %q is in the index and has no record", ErrDamaged, path)
				}
				if err := ch.retry(path, r); err != nil {
					return err
				}
				some++
			}
			return nil
		})
		n += some
		if err != nil || some < promoteAtOnce {
			return n, err
		}
	}
}

// retry makes the item one that was never tried. A name that cannot be stored stays blocked at its next attempt.
func (ch *change) retry(path string, r record) error {
	next := r
	next.state, next.attempt, next.due, next.reason = stateQueued, 0, 0, ""
	next.order = urgency(unixTime(r.since), codestory.Path(path), r.version.Size)
	return ch.put(path, r, true, next)
}

// firstPaths are the first limit paths of the indexes, taken together.
func firstPaths(tx *db.Tx, limit int, indexes ...[]byte) (paths []string) {
	for _, index := range indexes {
		c := tx.Bucket(index).Cursor()
		for k, _ := c.First(); k != nil && len(paths) < limit; k, _ = c.Next() {
			if _, path, ok := splitIndexKey(k); ok {
				paths = append(paths, path)
			}
		}
	}
	return paths
}

// Drop takes the item out of the queue for that reason: it is ignored until it changes. An upload of it that is under
// way goes on, and what it stores is noted. The error wraps codestory.ErrNotFound where the path does not wait.
func (q *Queue) Drop(path, reason string) error {
	return q.commit(func(ch *change) error {
		r, ok, err := getRecord(ch.tx, path)
		if err != nil {
			return err
		}
		if !ok || !r.state.waits() && r.state != stateBlocked {
			return fmt.Errorf("%q does not wait: %w", path, codestory.ErrNotFound)
		}
		next := r
		next.state, next.attempt, next.due, next.reason = stateIgnored, 0, 0, reason
		next.generation++ // a claim that is open is of an older one: it leaves this record's state alone
		return ch.put(path, r, true, next)
	})
}

// Ignored lists up to limit files that were dropped, with the reason.
func (q *Queue) Ignored(limit int) (ignored []codestory.Ignored, err error) {
	err = q.view(func(tx *db.Tx) error {
		for _, path := range firstPaths(tx, limit, bucketIgnored) {
			r, _, err := getRecord(tx, path)
			if err != nil {
				return err
			}
			ignored = append(ignored, codestory.Ignored{Path: path, Reason: r.reason})
		}
		return nil
	})
	return ignored, err
}

var keyPaused = []byte("paused")

// SetPaused lets Next hand out nothing, or again what there is. It lasts until it is set otherwise, restarts included.
func (q *Queue) SetPaused(paused bool) error {
	err := q.commit(func(ch *change) error {
		ch.asked = true
		if paused {
			return ch.tx.Bucket(bucketMeta).Put(keyPaused, []byte(time.Now().UTC().Format(time.RFC3339)))
		}
		return ch.tx.Bucket(bucketMeta).Delete(keyPaused)
	})
	q.announce()
	return err
}

func isPaused(tx *db.Tx) bool { return tx.Bucket(bucketMeta).Get(keyPaused) != nil }

// restingIndexes together hold every item that waits for a person, or for nothing.
var restingIndexes = [][]byte{bucketBlocked, bucketIgnored}

// Resting lists up to limit paths that have to settle anew, and up to limit that wait for a person or were dropped: nothing
// happens to them by itself. Whoever knows the directory may find that a file is gone. cursor and next are as with Items,
// of the others.
func (q *Queue) Resting(limit int, cursor string) (settling, others []string, next string, err error) {
	index, after, err := parseItemCursor(cursor)
	if err != nil || index >= len(restingIndexes) {
		return nil, nil, "", codestory.ErrCursor
	}
	err = q.view(func(tx *db.Tx) error {
		settling = firstPaths(tx, limit, bucketSettling)
		var last string
		for i, k := range indexKeys(tx, restingIndexes, index, after) {
			if len(others) == limit {
				next = last
				return nil
			}
			if _, path, ok := splitIndexKey(k); ok {
				others, last = append(others, path), itemCursor(i, k)
			}
		}
		return nil
	})
	return settling, others, next, err
}

// Vanished says that the file of a resting path is not there any more. Any other path is left as it is, and so is one
// whose claim is open: its outcome is still to come.
func (q *Queue) Vanished(path string) error {
	if _, claimed := q.claimedNow()[path]; claimed {
		return nil
	}
	return q.commit(func(ch *change) error {
		r, ok, err := getRecord(ch.tx, path)
		if err != nil || !ok || r.state.waits() || r.state == stateSynced {
			return err
		}
		return ch.gone(path, r)
	})
}
