package queue

import (
	"encoding/binary"
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
	from := d.tallies()
	for i, to := range c.tallies() {
		to.files += from[i].files
		to.bytes += from[i].bytes
	}
}

// keyCounts is where the counts stand in bucketMeta, with the number of the destination that they are for: so that
// nothing has to be counted when the database is opened.
var keyCounts = []byte("counts")

func (c *counts) tallies() []*tally {
	return []*tally{&c.queued, &c.retrying, &c.blocked, &c.synced, &c.other}
}

func (c *counts) encode(destination uint64) []byte {
	b := binary.AppendUvarint(nil, destination)
	for _, t := range c.tallies() {
		b = binary.AppendVarint(binary.AppendVarint(b, t.files), t.bytes)
	}
	return seal(keyCounts, b)
}

// savedCounts are those that were saved, if they are for this destination.
func savedCounts(tx *bolt.Tx, destination uint64) (c counts, ok bool) {
	body, ok := unseal(keyCounts, tx.Bucket(bucketMeta).Get(keyCounts))
	d := decoder{rest: body}
	saved := d.uvarint()
	for _, t := range c.tallies() {
		t.files, t.bytes = d.varint(), d.varint()
	}
	return c, ok && !d.bad && len(d.rest) == 0 && saved == destination
}

func recount(tx *bolt.Tx, destination uint64) (c counts, err error) {
	err = forEachRecord(tx, func(_ []byte, r record) error {
		c.add(r, destination)
		return nil
	})
	return c, err
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
