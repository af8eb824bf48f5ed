package queue

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/queue/db"
)

// MaxPath is the longest path that the database takes, in bytes: bbolt.MaxKeySize less the room for an index's time.
const MaxPath = 32768 - 16

// Change is a version of a file that is finished.
type Change struct {
	Path    string // as it is on disk; no codestory.Path where Fault is set
	Version codestory.Version
	// Fault, where it is not "", says why the file cannot be stored under that name: it is blocked at once.
	Fault string
	// Note, where it is not "", is something odd about a file that is uploaded all the same.
	Note string
	// Metadata is what was read of the story's metadata.json, where this is one and it parses. Where it is nil the
	// story keeps what it had.
	Metadata *codestory.Metadata
	// ReadOnly says that this is a metadata.json that is not to be stored: only what it says of its story counts.
	ReadOnly bool
}

// Known reports whether the index already has that version of the path: stored in this destination, waiting to be, or
// blocked.
func (r *record) known(v codestory.Version, destination uint64) bool {
	if r.version != v || r.state == stateSettling {
		return false
	}
	return r.state != stateSynced || r.synced(destination)
}

// Known says for each of the files whether Enqueue would have nothing to do.
func (q *Queue) Known(paths []string, versions []codestory.Version) ([]bool, error) {
	known := make([]bool, len(paths))
	err := q.view(func(tx *db.Tx) error {
		for i, path := range paths {
			r, ok, err := getRecord(tx, path)
			if err != nil {
				return err
			}
			known[i] = ok && r.known(versions[i], q.destination)
		}
		return nil
	})
	return known, err
}

// Enqueue makes changes durable, all of them or none. A version that is known already is left as it is; a new one
// waits in the place of the older one, and is tried at once whatever became of that.
func (q *Queue) Enqueue(changes []Change) error {
	if len(changes) == 0 {
		return nil
	}
	now := time.Now().Round(0)
	err := q.commit(func(ch *change) error {
		for _, c := range changes {
			if err := ch.enqueue(c, now); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, c := range changes {
		q.forgive(c.Path) // the store may take the new version
	}
	q.announce()
	return nil
}

func (ch *change) enqueue(c Change, now time.Time) error {
	if c.ReadOnly {
		return ch.noteRead(c, now)
	}
	old, had, err := getRecord(ch.tx, c.Path)
	if err != nil {
		return err
	}
	if had && old.known(c.Version, ch.destination) {
		return ch.adopt(codestory.Path(c.Path).Story(), c.Metadata, now)
	}
	next := record{
		state:      stateQueued,
		generation: old.generation + 1,
		version:    c.Version,
		since:      now.UnixNano(),
		note:       c.Note,
		stored:     old.stored,
	}
	if had && old.state.waits() {
		next.since = old.since
	}
	next.order = urgency(unixTime(next.since), codestory.Path(c.Path), c.Version.Size)
	if c.Fault != "" {
		next.state, next.reason = stateBlocked, c.Fault
	}
	if err := ch.put(c.Path, old, had, next); err != nil {
		return err
	}
	if err := ch.noteOdd(c.Path, c.Note != ""); err != nil {
		return err
	}
	return ch.noteStory(codestory.Path(c.Path).Story(), c.Metadata, now)
}

// Found is an object that the store has and the index may not know, as for one that another machine put.
type Found struct {
	Path     codestory.Path
	Stored   Stored
	Metadata *codestory.Metadata // the story's, where it was read
}

// Found records an object that was found in the store. A path that waits, or whose object in this destination is known,
// is left as it is. The error wraps codestory.ErrNotFound where the object is to be deleted.
func (q *Queue) Found(path codestory.Path, object Stored, metadata *codestory.Metadata) error {
	now := time.Now().Round(0)
	return q.commit(func(ch *change) error { return ch.found(Found{path, object, metadata}, now) })
}

// FoundAll is Found for many in one transaction. Those that are to be deleted are left out.
func (q *Queue) FoundAll(all []Found) error {
	if len(all) == 0 {
		return nil
	}
	now := time.Now().Round(0)
	return q.commit(func(ch *change) error {
		for _, f := range all {
			if err := ch.found(f, now); err != nil && !errors.Is(err, codestory.ErrNotFound) {
				return err
			}
		}
		return nil
	})
}

func (ch *change) found(f Found, now time.Time) error {
	path := string(f.Path)
	old, had, err := getRecord(ch.tx, path)
	if err != nil {
		return err
	}
	if had && (old.state != stateSynced || old.synced(ch.destination)) {
		return ch.adopt(f.Path.Story(), f.Metadata, now)
	}
	if ch.tx.Bucket(bucketRemovals).Get([]byte(path)) != nil { // deleted by a person since it was found
		return fmt.Errorf("%s: %w", path, codestory.ErrNotFound)
	}
	generation := old.generation + 1
	next := record{state: stateSynced, generation: generation, stored: f.Stored.record(ch.destination, generation, now)}
	if err := ch.put(path, old, had, next); err != nil {
		return err
	}
	if err := ch.noteOthers(path, f.Stored.ETag); err != nil {
		return err
	}
	return ch.noteStory(f.Path.Story(), f.Metadata, now)
}

// gone forgets the file of the path, which is not on this machine any more. What the store has of it stays in the
// index.
func (ch *change) gone(path string, old record) error {
	if old.stored.destination == 0 {
		if err := ch.remove(path, old); err != nil {
			return err
		}
		return ch.dropEmptyStory(codestory.Path(path).Story())
	}
	next := record{state: stateSynced, generation: old.generation, stored: old.stored}
	return ch.put(path, old, true, next)
}

// prefixed is the first key with the prefix, or nil.
func prefixed(b db.Bucket, prefix []byte) []byte {
	if k, _ := b.Cursor().Seek(prefix); bytes.HasPrefix(k, prefix) {
		return k
	}
	return nil
}
