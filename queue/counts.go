package queue

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/codestory/codestoryd/queue/db"
)

// counts are the records by state. They stand in the database, and each transaction that changes records changes them.
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
	return b
}

// savedCounts are those that were saved, if they are for this destination.
func savedCounts(tx *db.Tx, destination uint64) (c counts, ok bool) {
	d := decoder{rest: tx.Bucket(bucketMeta).Get(keyCounts)}
	saved := d.uvarint()
	for _, t := range c.tallies() {
		t.files, t.bytes = d.varint(), d.varint()
	}
	return c, !d.bad && len(d.rest) == 0 && saved == destination
}

// saveCounts adds to the counts what the call has changed.
func (ch *change) saveCounts() error {
	if ch.counts == (counts{}) {
		return nil
	}
	next, ok := savedCounts(ch.tx, ch.destination)
	if !ok {
		return fmt.Errorf("%w: the counts do not decode", ErrDamaged)
	}
	next.sum(ch.counts)
	return ch.tx.Bucket(bucketMeta).Put(keyCounts, next.encode(ch.destination))
}

func recount(tx *db.Tx, destination uint64) (c counts, err error) {
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

// Stats takes a few look-ups, however long the queue is.
func (q *Queue) Stats() (Stats, error) {
	var s Stats
	claimed := q.claimedNow()
	err := q.view(func(tx *db.Tx) error {
		c, ok := savedCounts(tx, q.destination)
		if !ok { // opened read-only for another destination
			var err error
			if c, err = recount(tx, q.destination); err != nil {
				return err
			}
		}
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
		s.Queued = max(0, c.queued.files-s.Uploading)
		s.Retrying, s.Blocked = c.retrying.files, c.blocked.files
		s.Bytes = c.queued.bytes + c.retrying.bytes + c.blocked.bytes
		s.SyncedFiles, s.SyncedBytes = c.synced.files, c.synced.bytes
		return nil
	})
	return s, err
}

// firstOf is the first entry of an index.
func firstOf(tx *db.Tx, bucket []byte) (n int64, path string, ok bool) {
	k, _ := tx.Bucket(bucket).Cursor().First()
	return splitIndexKey(k)
}
