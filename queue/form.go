package queue

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/queue/db"
)

// A form lets others upload an object, which makes that this daemon's own: to be deleted with its story.

// form is an entry of its bucket: uploads to the object of the path were signed for.
type form struct {
	destination uint64
	until       int64 // when the last of them expires, in nanoseconds since 1970

	used []int64 // when those expire that have brought their file, likewise; what has expired long ago is left out
}

func (f form) encode() []byte {
	b := binary.AppendVarint(binary.AppendUvarint(nil, f.destination), f.until)
	for _, expires := range f.used {
		b = binary.AppendVarint(b, expires)
	}
	return b
}

func getForm(tx *db.Tx, path string) (form, error) {
	b := tx.Bucket(bucketForms).Get([]byte(path))
	if b == nil {
		return form{}, nil
	}
	return decodeForm(b)
}

func decodeForm(b []byte) (form, error) {
	d := decoder{rest: b}
	f := form{destination: d.uvarint(), until: d.varint()}
	for !d.bad && len(d.rest) > 0 {
		f.used = append(f.used, d.varint())
	}
	if d.bad {
		return form{}, fmt.Errorf("%w: a form does not decode", ErrDamaged)
	}
	return f, nil
}

// SignForm records that somebody may upload the object of the path until then, which makes it this daemon's own. It has
// to be durable before the form is given away. An object that was deleted is wanted again.
func (q *Queue) SignForm(path codestory.Path, until time.Time) error {
	return q.commit(func(ch *change) error {
		old, err := getForm(ch.tx, string(path))
		if err != nil {
			return err
		}
		next := form{destination: ch.destination, until: nanoseconds(until), used: old.used}
		if old.destination == next.destination {
			next.until = max(next.until, old.until)
		}
		return errors.Join(ch.putForm(string(path), next), ch.endRemoval(string(path)))
	})
}

// FormSigned reports whether somebody may be uploading the object of the path.
func (q *Queue) FormSigned(path codestory.Path) (signed bool, err error) {
	err = q.view(func(tx *db.Tx) error {
		f, err := getForm(tx, string(path))
		signed = f.destination == q.destination && f.destination != 0 && f.until > time.Now().UnixNano()
		return err
	})
	return signed, err
}

// FormUsed reports whether the form of the path that expires then has brought its file.
func (q *Queue) FormUsed(path codestory.Path, expires time.Time) (used bool, err error) {
	err = q.view(func(tx *db.Tx) error {
		f, err := getForm(tx, string(path))
		used = slices.Contains(f.used, expires.UnixNano())
		return err
	})
	return used, err
}

// usedFor is how long after it expires it is known that a form was used: no upload that began before lasts that long.
const usedFor = time.Hour

// replacedByForm is why a file on this machine is not uploaded after another one was posted in its place.
const replacedByForm = "an uploaded file has taken its place in the store"

// Received records an object that was posted by the form that expires then, which is good for no other. A file of that
// name on this machine stays, and is ignored until it changes.
func (q *Queue) Received(path codestory.Path, expires time.Time, object Stored) error {
	now := time.Now().Round(0)
	return q.commit(func(ch *change) error {
		old, had, err := getRecord(ch.tx, string(path))
		if err != nil {
			return err
		}
		generation := old.generation + 1
		next := record{state: stateSynced, generation: generation, stored: object.record(ch.destination, generation, now)}
		if old.version != (codestory.Version{}) {
			next.state, next.version, next.since, next.reason = stateIgnored, old.version, now.UnixNano(), replacedByForm
		}
		if err := ch.put(string(path), old, had, next); err != nil {
			return err
		}
		return errors.Join(ch.overtaken(string(path)), ch.noteStory(path.Story(), nil, now), ch.useForm(string(path), expires, now))
	})
}

// useForm notes that the form of the path that expires then has brought its file.
func (ch *change) useForm(path string, expires, now time.Time) error {
	f, err := getForm(ch.tx, path)
	if err != nil {
		return err
	}
	if f.destination != ch.destination { // it was signed before the database was begun anew, or for another store
		f.destination, f.until = ch.destination, expires.UnixNano()
	}
	f.used = slices.DeleteFunc(f.used, func(used int64) bool { return used < now.Add(-usedFor).UnixNano() })
	f.used = append(f.used, expires.UnixNano())
	ch.asked = true // a backup that did not know it would let the form be used again
	return ch.putForm(path, f)
}

func (ch *change) putForm(path string, f form) error {
	return ch.tx.Bucket(bucketForms).Put([]byte(path), f.encode())
}
