package queue

import (
	"time"

	bolt "go.etcd.io/bbolt"
)

// counts are the records by state. They are kept in memory, counted once at Open.
type counts struct {
	queued, retrying, blocked tally
	synced, other             tally
}

type tally struct{ files, bytes int64 }

func (c *counts) of(r record, destination uint64) *tally {
	switch {
	case r.state == stateQueued:
		return &c.queued
	case r.state == stateRetrying:
		return &c.retrying
	case r.state == stateBlocked:
		return &c.blocked
	case r.synced(destination):
		return &c.synced
	default:
		return &c.other // settling, ignored, or stored elsewhere
	}
}

func (c *counts) add(r record, destination uint64) {
	t := c.of(r, destination)
	t.files++
	t.bytes += r.bytes()
}

func (c *counts) remove(r record, destination uint64) {
	t := c.of(r, destination)
	t.files--
	t.bytes -= r.bytes()
}

func (c *counts) sum(d counts) {
	for _, p := range []struct {
		to   *tally
		from tally
	}{
		{&c.queued, d.queued}, {&c.retrying, d.retrying}, {&c.blocked, d.blocked},
		{&c.synced, d.synced}, {&c.other, d.other},
	} {
		p.to.files += p.from.files
		p.to.bytes += p.from.bytes
	}
}

// Stats counts the items. Each is in one count only; Bytes are those of all that wait.
type Stats struct {
	Queued, Uploading, Retrying, Blocked int64
	Bytes                                int64
	Oldest                               time.Time // when the longest waiting item began to; zero where none waits
	SyncedFiles, SyncedBytes             int64
	Paused                               bool // by a person
}

// Stats is answered from memory and a few look-ups, however long the queue is.
func (q *Queue) Stats() (Stats, error) {
	q.mu.Lock()
	c := q.counts
	q.mu.Unlock()
	s := Stats{
		Retrying: c.retrying.files,
		Blocked:  c.blocked.files,
		Bytes:    c.queued.bytes + c.retrying.bytes + c.blocked.bytes,

		SyncedFiles: c.synced.files,
		SyncedBytes: c.synced.bytes,
	}
	claimed := q.claimedNow()
	err := q.view(func(tx *bolt.Tx) error {
		for path := range claimed { // some may have been dropped, or blocked, since
			r, ok, err := getRecord(tx, path)
			if err != nil {
				return err
			}
			if ok && r.state == stateQueued {
				s.Uploading++
			}
		}
		if ns, _, ok := firstOf(tx, bucketAge); ok {
			s.Oldest = unixTime(ns)
		}
		s.Paused = isPaused(tx)
		return nil
	})
	s.Queued = max(0, c.queued.files-s.Uploading)
	return s, err
}

// firstOf is the first entry of an index.
func firstOf(tx *bolt.Tx, bucket []byte) (n int64, path string, ok bool) {
	k, _ := tx.Bucket(bucket).Cursor().First()
	return splitIndexKey(k)
}
