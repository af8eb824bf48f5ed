package queue

import (
	"bytes"
	"errors"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/queue/db"
)

// Others write into the store too: what is in the index of an object may have been true once.

// Correct records what the store has of the file, which is not on this machine: another object than was known, or none
// where object is nil. known is the file as File or Files described it before the store was asked. Where it has changed
// since, or waits, or is being uploaded, the answer may be older than what is known, and nothing comes of it. Should the
// file come back, as with a file system that is mounted again, it is a new one. metadata is the story's, where it was read.
//
// The new object is others', unless a form was signed for it, or it is an upload of ours that the store took late.
func (q *Queue) Correct(known File, object *Stored, metadata *codestory.Metadata) error {
	q.mu.Lock()
	_, claimed := q.claimed[known.Path]
	q.mu.Unlock()
	if claimed || known.State != codestory.Synced { // one that is claimed from now on changes the record before
		return nil
	}
	now := time.Now().Round(0)
	return q.commit(func(ch *change) error {
		old, had, err := getRecord(ch.tx, known.Path)
		if err != nil || !had || !old.is(known, ch.destination) {
			return err
		}
		if object == nil {
			return ch.lost(known.Path, old)
		}
		generation := old.generation + 1
		next := record{state: stateSynced, generation: generation, stored: object.record(ch.destination, generation, now)}
		if err := ch.put(known.Path, old, true, next); err != nil {
			return err
		}
		if err := errors.Join(ch.forgetSound(known.Path), ch.noteOthers(known.Path, object.ETag)); err != nil || metadata == nil {
			return err
		}
		return ch.noteStory(codestory.Path(known.Path).Story(), metadata, now)
	})
}

// is reports whether the record is still the one that was described.
func (r *record) is(known File, destination uint64) bool {
	return r.synced(destination) && r.version == known.Version && r.generation == known.generation &&
		r.stored.size == known.Stored.Size && r.stored.etag == known.Stored.ETag
}

// lost forgets a file that is neither here nor in the store.
func (ch *change) lost(path string, old record) error {
	err := errors.Join(ch.remove(path, old), ch.tx.Bucket(bucketFound).Delete([]byte(path)))
	if err != nil {
		return err
	}
	return ch.dropEmptyStory(codestory.Path(path).Story())
}

// noteOthers notes whose the object is that was found under the path.
func (ch *change) noteOthers(path, etag string) error {
	form, err := getForm(ch.tx, path)
	if err != nil {
		return err
	}
	if form.destination == ch.destination || ch.tx.Bucket(bucketUnanswered).Get(unansweredKey(path, etag)) != nil {
		return ch.tx.Bucket(bucketFound).Delete([]byte(path))
	}
	return ch.tx.Bucket(bucketFound).Put([]byte(path), nil)
}

// Others reports whether others have stored the object of the path, or were given a form to, and whether one of those
// may be posted right now.
func (q *Queue) Others(path codestory.Path) (others, posting bool, err error) {
	err = q.view(func(tx *db.Tx) error {
		f, err := getForm(tx, string(path))
		signed := f.destination == q.destination && f.destination != 0
		others = signed || tx.Bucket(bucketFound).Get([]byte(path)) != nil
		posting = signed && f.until > time.Now().UnixNano()
		return err
	})
	return others, posting, err
}

// OthersOf reports whether others have stored anything of the story, and for which paths of it something may be posted
// right now.
func (q *Queue) OthersOf(id codestory.StoryID) (others bool, posting []codestory.Path, err error) {
	prefix, now := []byte(id+"/"), time.Now().UnixNano()
	err = q.view(func(tx *db.Tx) error {
		others = prefixed(tx.Bucket(bucketFound), prefix) != nil
		c := tx.Bucket(bucketForms).Cursor()
		for k, v := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, v = c.Next() {
			f, err := decodeForm(v)
			if err != nil {
				return err
			}
			if f.destination != q.destination || f.destination == 0 {
				continue
			}
			others = true
			if f.until > now {
				posting = append(posting, codestory.Path(k))
			}
		}
		return nil
	})
	return others, posting, err
}
