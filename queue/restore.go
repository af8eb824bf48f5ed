package queue

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/codestory/codestoryd"
)

// create makes a new database: an empty one, or one that begins with what was kept beside one that was lost.
func (q *Queue) create(lost *Rebuilt) error {
	saved, unread, found, err := readKept(q.kept.path)
	if err != nil {
		return err
	}
	if lost == nil && found {
		lost = &Rebuilt{} // somebody took it away, or we were killed before we could begin the new one
	}
	return q.commit(func(ch *change) error {
		if err := makeBuckets(ch.tx); err != nil || lost == nil {
			return err
		}
		lost.At, lost.Unread = time.Now().UTC().Round(0), unread
		if err := putRebuilt(ch.tx, *lost); err != nil {
			return err
		}
		for _, k := range slices.SortedFunc(maps.Values(saved), compareKept) {
			if err := ch.restore(k); err != nil {
				return fmt.Errorf("taking over what was kept: %w", err)
			}
		}
		return nil
	})
}

// restore takes over one thing that was kept beside a lost database. Uploads come last, in the order of their generations.
func (ch *change) restore(k kept) error {
	if k.Kind == keptPaused {
		return ch.tx.Bucket(bucketMeta).Put(keyPaused, []byte(k.Reason))
	}
	path, err := k.name()
	if err != nil {
		return err
	}
	_, destination, err := makeDestination(ch.tx, k.Destination)
	if err != nil {
		return err
	}
	switch k.Kind {
	case keptDropped:
		return ch.restoreRecord(path, record{
			state: stateIgnored, generation: 1, version: k.Version, since: k.Since, reason: k.Reason,
		})
	case keptForm:
		f := form{destination: destination, until: k.Until}
		return ch.tx.Bucket(bucketForms).Put([]byte(path), f.encode([]byte(path)))
	case keptRemoval:
		r := removal{destination: destination, since: k.Since, until: k.Until, once: k.Once}
		return ch.tx.Bucket(bucketRemovals).Put([]byte(path), r.encode([]byte(path)))
	case keptUpload:
		return ch.restoreUpload(path, ledgerEntry{
			generation: k.Generation, destination: destination, version: k.Version, state: k.State,
		})
	default:
		return nil // of a newer program
	}
}

// restoreUpload takes over an upload in parts. The file waits in the version that was being uploaded, so that the upload
// goes on where it was; where the file is another by now the upload is superseded, and aborted.
func (ch *change) restoreUpload(path string, e ledgerEntry) error {
	key := ledgerKey(path, e.generation)
	if err := ch.tx.Bucket(bucketLedger).Put(key, e.encode(key)); err != nil {
		return err
	}
	old, had, err := getRecord(ch.tx, path)
	switch {
	case err != nil:
		return err
	case had && old.state == stateIgnored:
		next := old
		next.generation = max(next.generation, e.generation+1)
		return ch.put(path, old, true, next)
	case e.version == (codestory.Version{}):
		return nil
	}
	now := time.Now().Round(0)
	return ch.restoreRecord(path, record{
		state: stateQueued, generation: e.generation, version: e.version, since: now.UnixNano(),
		order: urgency(now, codestory.Path(path), e.version.Size),
	})
}

func (ch *change) restoreRecord(path string, r record) error {
	old, had, err := getRecord(ch.tx, path)
	if err != nil {
		return err
	}
	if err := ch.put(path, old, had, r); err != nil {
		return err
	}
	return ch.noteStory(codestory.Path(path).Story(), nil, time.Now().Round(0))
}

// keepUp brings the file beside the database up to it. Where it cannot be written, as on a full disk, the next that has
// to be kept writes all of it.
func (q *Queue) keepUp() error {
	saved, unread, found, err := readKept(q.kept.path)
	if err != nil {
		return err
	}
	return q.view(func(tx *bolt.Tx) error {
		want, err := gather(tx)
		if err != nil {
			return err
		}
		if found && unread == 0 && reflect.DeepEqual(saved, want) {
			return q.kept.reopen()
		}
		_ = q.kept.replace(want)
		return nil
	})
}
