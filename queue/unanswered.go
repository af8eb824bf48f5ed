package queue

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/queue/db"
)

// Unanswered is an upload that was sent whole and never answered. The store may still take it at any later time, and
// put it over a newer version.
type Unanswered struct {
	Path codestory.Path
	ETag string    // that an object of what was sent has
	At   time.Time // when it was given up
	Here bool      // it was sent to the present destination
}

// unansweredKey is the place of a note. NUL is in no path.
func unansweredKey(path, etag string) []byte { return []byte(path + "\x00" + etag) }

// Unanswered notes that an upload of this version was sent whole and not answered. The claim stays open; should it end
// as Done, the answer has come, and the note goes unless an earlier claim made it.
func (c *Claim) Unanswered(etag string) error {
	now := time.Now().UnixNano()
	return c.q.commit(func(ch *change) error {
		key := unansweredKey(string(c.Path), etag)
		if ch.tx.Bucket(bucketUnanswered).Get(key) == nil {
			c.noted = etag
		}
		value := binary.AppendVarint(binary.AppendUvarint(nil, ch.destination), now)
		return ch.tx.Bucket(bucketUnanswered).Put(key, value)
	})
}

// Unanswered lists up to limit notes, by path, that come after the note after; nil for the first.
func (q *Queue) Unanswered(after *Unanswered, limit int) (notes []Unanswered, err error) {
	var from []byte
	if after != nil {
		from = append(unansweredKey(string(after.Path), after.ETag), 0)
	}
	err = q.view(func(tx *db.Tx) error {
		c := tx.Bucket(bucketUnanswered).Cursor()
		for k, v := c.Seek(from); k != nil && len(notes) < limit; k, v = c.Next() {
			path, etag, ok := bytes.Cut(k, []byte{0})
			d := decoder{rest: v}
			destination, at := d.uvarint(), d.varint()
			if !ok || d.bad || len(d.rest) != 0 {
				return fmt.Errorf("%w: a note of an unanswered upload does not decode", ErrDamaged)
			}
			notes = append(notes, Unanswered{codestory.Path(path), string(etag), unixTime(at), destination == q.destination})
		}
		return nil
	})
	return notes, err
}

// ForgetUnanswered takes a note away, unless the same was noted again since.
func (q *Queue) ForgetUnanswered(u Unanswered) error {
	return q.commit(func(ch *change) error {
		key := unansweredKey(string(u.Path), u.ETag)
		d := decoder{rest: ch.tx.Bucket(bucketUnanswered).Get(key)}
		if d.uvarint(); d.varint() > u.At.UnixNano() {
			return nil
		}
		return ch.tx.Bucket(bucketUnanswered).Delete(key)
	})
}

// PutAgain lets a file that is synced with that ETag wait again: the store has lost that version. Any other file is left
// as it is.
func (q *Queue) PutAgain(path codestory.Path, etag string) error {
	now := time.Now().Round(0)
	err := q.commit(func(ch *change) error {
		r, ok, err := getRecord(ch.tx, string(path))
		if err != nil || !ok || !r.synced(ch.destination) || r.stored.etag != etag || r.version == (codestory.Version{}) {
			return err
		}
		next := record{
			state: stateQueued, generation: r.generation + 1, version: r.version, since: now.UnixNano(), note: r.note,
			stored: r.stored,
		}
		next.stored.md5 = "" // or the file would be taken for one that the store has
		next.order = urgency(now, path, r.version.Size)
		return ch.put(string(path), r, true, next)
	})
	q.announce()
	return err
}
