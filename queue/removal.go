package queue

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/queue/db"
)

// A story that a person deletes leaves the queue and the index in one transaction, together with a removal for each
// object that may be in the store and is ours. A removal is done twice: at once, and when nothing can bring the object
// back any more. That is when every form that was signed for it has expired, and every request that was cut off has
// ended at the store too.

// lingering is how long a store may take over a request that was cut off.
const lingering = 2 * time.Minute

// removal is an entry of its bucket.
type removal struct {
	destination uint64
	since       int64 // when a person asked for it, in nanoseconds since 1970
	until       int64 // when it is done for the second time, likewise
	once        bool  // it was done for the first time
}

func (r removal) encode() []byte {
	b := binary.AppendUvarint(nil, r.destination)
	b = binary.AppendVarint(b, r.since)
	b = binary.AppendVarint(b, r.until)
	if r.once {
		return append(b, 1)
	}
	return append(b, 0)
}

func decodeRemoval(b []byte) (removal, error) {
	d := decoder{rest: b}
	r := removal{destination: d.uvarint(), since: d.varint(), until: d.varint()}
	if d.bad || len(d.rest) != 1 || d.rest[0] > 1 {
		return removal{}, fmt.Errorf("%w: a removal does not decode", ErrDamaged)
	}
	r.once = d.rest[0] == 1
	return r, nil
}

// Delete takes a story out of the queue and the index, for that reason. Files of it that are on this machine are
// ignored until they change; of the others nothing is known any more. What this daemon stored of it, or signed a form
// for, is listed by Removals from now on. Uploads of it that are under way go on until their caller cuts them.
// The error wraps codestory.ErrNotFound where nothing is known of the story, codestory.ErrNotOurs where all of it is others'.
func (q *Queue) Delete(id codestory.StoryID, reason string) error {
	now := time.Now().Round(0)
	claimed := q.claimedNow()
	err := q.commit(func(ch *change) error {
		d := deletion{ch: ch, id: id, reason: reason, now: now, claimed: claimed}
		return d.run()
	})
	q.announce()
	return err
}

type deletion struct {
	ch     *change
	id     codestory.StoryID
	reason string
	now    time.Time

	claimed      map[string]*Claim
	ours, others int
}

func (d *deletion) run() error {
	tx, prefix := d.ch.tx, []byte(d.id+"/")
	known := tx.Bucket(bucketStories).Get([]byte(d.id)) != nil || prefixed(tx.Bucket(bucketRemovals), prefix) != nil
	paths := pathsOf(tx.Bucket(bucketFiles), prefix)
	forms := pathsOf(tx.Bucket(bucketForms), prefix)
	if !known && len(paths)+len(forms) == 0 {
		return fmt.Errorf("story %s: %w", d.id, codestory.ErrNotFound)
	}
	for _, path := range paths {
		if err := d.file(path); err != nil {
			return err
		}
	}
	for _, path := range forms {
		if err := d.remove(path); err != nil {
			return err
		}
	}
	d.ch.asked = true
	if d.ours == 0 && d.others > 0 {
		return fmt.Errorf("story %s: %w", d.id, codestory.ErrNotOurs)
	}
	return d.ch.dropEmptyStory(d.id)
}

// file takes one file out.
func (d *deletion) file(path string) error {
	r, _, err := getRecord(d.ch.tx, path)
	if err != nil {
		return err
	}
	stored := r.stored.destination == d.ch.destination && r.stored.destination != 0
	_, underWay := d.claimed[path] // though it was dropped
	switch found := d.ch.tx.Bucket(bucketFound).Get([]byte(path)) != nil; {
	case stored && found:
		d.others++
	case stored || underWay || r.state.waits(): // what waits may be on its way, or there already and not recorded
		if err := d.remove(path); err != nil {
			return err
		}
	default:
		d.ours++
	}
	if err := d.ch.tx.Bucket(bucketFound).Delete([]byte(path)); err != nil {
		return err
	}
	if r.version == (codestory.Version{}) {
		return d.ch.remove(path, r)
	}
	return d.ch.put(path, r, true, record{
		state: stateIgnored, generation: r.generation + 1, version: r.version, since: d.now.UnixNano(), reason: d.reason,
	})
}

// remove lists the object to be deleted from the store.
func (d *deletion) remove(path string) error {
	d.ours++
	until := d.now.Add(lingering).UnixNano()
	if form, err := getForm(d.ch.tx, path); err != nil {
		return err
	} else if form.destination == d.ch.destination {
		until = max(until, form.until)
	}
	return d.ch.putRemoval(path, removal{destination: d.ch.destination, since: d.now.UnixNano(), until: until})
}

// pathsOf are the keys with the prefix.
func pathsOf(b db.Bucket, prefix []byte) (paths []string) {
	c := b.Cursor()
	for k, _ := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, _ = c.Next() {
		paths = append(paths, string(k))
	}
	return paths
}

// Removal is an object that is to be deleted from the store. Until it is settled by Done or Release no claim of its
// path is handed out, so that what is deleted is never a newer version.
type Removal struct {
	Path codestory.Path

	claim *Claim
	entry removal
}

// Removals takes on up to limit removals of this destination whose time has come, of one story or of all where id is "".
func (q *Queue) Removals(id codestory.StoryID, limit int) (removals []Removal, err error) {
	prefix := []byte(nil)
	if id != "" {
		prefix = []byte(id + "/")
	}
	now := time.Now().UnixNano()
	q.mu.Lock()
	defer q.mu.Unlock()
	err = q.view(func(tx *db.Tx) error {
		c := tx.Bucket(bucketRemovals).Cursor()
		for k, v := c.Seek(prefix); bytes.HasPrefix(k, prefix) && k != nil && len(removals) < limit; k, v = c.Next() {
			entry, err := decodeRemoval(v)
			if err != nil {
				return err
			}
			_, claimed := q.claimed[string(k)]
			if claimed || entry.destination != q.destination || entry.once && now < entry.until {
				continue
			}
			path := codestory.Path(k)
			removals = append(removals, Removal{path, &Claim{Path: path, q: q}, entry})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, r := range removals {
		q.claimed[string(r.Path)] = r.claim
	}
	return removals, nil
}

// Done records that the store has deleted the object. Where that is wanted again by now, or was deleted anew, nothing
// comes of it.
func (r Removal) Done() error {
	now := time.Now().UnixNano()
	err := r.claim.q.commit(func(ch *change) error {
		value := ch.tx.Bucket(bucketRemovals).Get([]byte(r.Path))
		if value == nil {
			return nil
		}
		if entry, err := decodeRemoval(value); err != nil || entry != r.entry {
			return err
		}
		if now >= r.entry.until {
			return errors.Join(ch.endRemoval(string(r.Path)), ch.tx.Bucket(bucketForms).Delete([]byte(r.Path)))
		}
		next := r.entry
		next.once = true
		return ch.putRemoval(string(r.Path), next)
	})
	r.Release()
	return err
}

// Release leaves the removal to be done later. After Done it does nothing.
func (r Removal) Release() { r.claim.Release() }

// Removed reports whether the object of the path was deleted by a person and may not be gone from the store yet.
func (q *Queue) Removed(path codestory.Path) (removed bool, err error) {
	err = q.view(func(tx *db.Tx) error {
		removed = tx.Bucket(bucketRemovals).Get([]byte(path)) != nil
		return nil
	})
	return removed, err
}

// RemovalsWaiting counts the objects that are to be deleted and, as far as is known, are still in this destination. It
// also says since when the first of them is.
func (q *Queue) RemovalsWaiting() (n int, since time.Time, err error) {
	err = q.view(func(tx *db.Tx) error {
		return tx.Bucket(bucketRemovals).ForEach(func(k, v []byte) error {
			entry, err := decodeRemoval(v)
			if err != nil || entry.once || entry.destination != q.destination {
				return err
			}
			n++
			if asked := unixTime(entry.since); since.IsZero() || asked.Before(since) {
				since = asked
			}
			return nil
		})
	})
	return n, since, err
}

// overtaken ends what is noted of the object of the path, which is the daemon's own now, and of a version that is wanted.
func (ch *change) overtaken(path string) error {
	return errors.Join(ch.endRemoval(path), ch.tx.Bucket(bucketFound).Delete([]byte(path)))
}

func (ch *change) putRemoval(path string, r removal) error {
	return ch.tx.Bucket(bucketRemovals).Put([]byte(path), r.encode())
}

// endRemoval is backed up soon: a backup that still had the removal would have an object deleted that is wanted again.
func (ch *change) endRemoval(path string) error {
	b := ch.tx.Bucket(bucketRemovals)
	if b.Get([]byte(path)) == nil {
		return nil
	}
	ch.asked = true
	return b.Delete([]byte(path))
}
