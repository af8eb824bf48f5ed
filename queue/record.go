package queue

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/queue/db"
)

// state is what a record says of itself. The numbers are on disk.
type state byte

const (
	stateQueued   state = 1
	stateRetrying state = 2
	stateBlocked  state = 3
	stateSettling state = 4
	stateSynced   state = 5
	stateIgnored  state = 6
)

// waits reports whether the item will be tried without anybody's help.
func (s state) waits() bool { return s == stateQueued || s == stateRetrying }

// record is all that is known of one path.
type record struct {
	state      state
	generation uint64 // of the version below; counts the versions that were settled
	version    codestory.Version
	since      int64  // when it began to wait, in nanoseconds since 1970
	order      int64  // place in the ready bucket; see urgency
	attempt    uint64 // attempts that failed
	due        int64  // when a retrying item is tried again, in nanoseconds since 1970
	reason     string // why it waits; "" for no more than that it has to
	note       string // what is odd about this version; "" for nothing
	stored     stored
}

// stored is the object that was last put for the path. Its destination is 0 where there is none.
type stored struct {
	destination uint64
	generation  uint64
	size        int64
	etag        string
	md5         string
	at          int64 // nanoseconds since 1970
}

// synced reports whether the present version is in the destination.
func (r *record) synced(destination uint64) bool {
	return r.state == stateSynced && r.stored.destination == destination
}

// bytes is the size of what is meant: of the object where the file itself is not known any more.
func (r *record) bytes() int64 {
	if r.version == (codestory.Version{}) {
		return r.stored.size
	}
	return r.version.Size
}

// encode is the state, and then the fields in the order of their declaration, numbers as varints, texts with their length
// before them.
func (r *record) encode() []byte {
	b := append(make([]byte, 0, 160), byte(r.state))
	b = binary.AppendUvarint(b, r.generation)
	b = binary.AppendVarint(b, r.version.Size)
	b = binary.AppendVarint(b, r.version.ModTime)
	b = binary.AppendVarint(b, r.version.ChangeTime)
	b = binary.AppendUvarint(b, r.version.Inode)
	b = binary.AppendVarint(b, r.since)
	b = binary.AppendVarint(b, r.order)
	b = binary.AppendUvarint(b, r.attempt)
	b = binary.AppendVarint(b, r.due)
	b = appendText(b, r.reason)
	b = appendText(b, r.note)
	b = binary.AppendUvarint(b, r.stored.destination)
	b = binary.AppendUvarint(b, r.stored.generation)
	b = binary.AppendVarint(b, r.stored.size)
	b = appendText(b, r.stored.etag)
	b = appendText(b, r.stored.md5)
	return binary.AppendVarint(b, r.stored.at)
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// decode reads the record of the path.
func decode(path, b []byte) (record, error) {
	if len(b) < 1 || state(b[0]) < stateQueued || state(b[0]) > stateIgnored {
		return record{}, errRecord(path)
	}
	d := decoder{rest: b[1:]}
	r := record{state: state(b[0])}
	r.generation = d.uvarint()
	r.version.Size = d.varint()
	r.version.ModTime = d.varint()
	r.version.ChangeTime = d.varint()
	r.version.Inode = d.uvarint()
	r.since = d.varint()
	r.order = d.varint()
	r.attempt = d.uvarint()
	r.due = d.varint()
	r.reason = d.text()
	r.note = d.text()
	r.stored.destination = d.uvarint()
	r.stored.generation = d.uvarint()
	r.stored.size = d.varint()
	r.stored.etag = d.text()
	r.stored.md5 = d.text()
	r.stored.at = d.varint()
	if d.bad || len(d.rest) != 0 {
		return record{}, errRecord(path)
	}
	return r, nil
}

func errRecord(path []byte) error {
	return fmt.Errorf("%w: the record of %q does not decode", ErrDamaged, path)
}

// decoder reads fields one after another and remembers whether one was cut short.
type decoder struct {
	rest []byte
	bad  bool
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.rest)
	d.skip(n)
	return v
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.rest)
	d.skip(n)
	return v
}

func (d *decoder) skip(n int) {
	if n <= 0 {
		d.bad, d.rest = true, nil
		return
	}
	d.rest = d.rest[n:]
}

func (d *decoder) text() string {
	n := d.uvarint()
	if d.bad || n > uint64(len(d.rest)) {
		d.bad = true
		return ""
	}
	s := string(d.rest[:n])
	d.rest = d.rest[n:]
	return s
}

// getRecord returns the record of the path, and whether there is one.
func getRecord(tx *db.Tx, path string) (record, bool, error) {
	b := tx.Bucket(bucketFiles).Get([]byte(path))
	if b == nil {
		return record{}, false, nil
	}
	r, err := decode([]byte(path), b)
	return r, err == nil, err
}

func forEachRecord(tx *db.Tx, fn func(path []byte, r record) error) error {
	return tx.Bucket(bucketFiles).ForEach(func(k, v []byte) error {
		r, err := decode(k, v)
		if err != nil {
			return err
		}
		return fn(k, r)
	})
}

// put replaces the record of the path, and its places in the indexes, by next. The caller says whether there was a
// record before.
func (ch *change) put(path string, old record, had bool, next record) error {
	if had {
		if err := ch.unindex(path, old); err != nil {
			return err
		}
	}
	ch.counts.add(next, ch.destination)
	ch.asked = ch.asked || next.state == stateIgnored || old.state == stateIgnored
	ch.note(path, next, false)
	if err := ch.tx.Bucket(bucketFiles).Put([]byte(path), next.encode()); err != nil {
		return err
	}
	for _, e := range next.entries(path) {
		if err := ch.tx.Bucket(e.bucket).Put(e.key, nil); err != nil {
			return err
		}
	}
	return nil
}

func (ch *change) remove(path string, old record) error {
	if err := ch.unindex(path, old); err != nil {
		return err
	}
	ch.asked = ch.asked || old.state == stateIgnored
	if err := ch.forgetSound(path); err != nil {
		return err
	}
	ch.note(path, record{}, true)
	return ch.tx.Bucket(bucketFiles).Delete([]byte(path))
}

func (ch *change) unindex(path string, old record) error {
	ch.counts.remove(old, ch.destination)
	for _, e := range old.entries(path) {
		if err := ch.tx.Bucket(e.bucket).Delete(e.key); err != nil {
			return err
		}
	}
	return nil
}

// entry is a place in an index.
type entry struct {
	bucket []byte
	key    []byte
}

// entries are the places that the record has in the indexes.
func (r *record) entries(path string) []entry {
	switch r.state {
	case stateQueued:
		return []entry{{bucketReady, indexKey(r.order, path)}, {bucketAge, indexKey(r.since, path)}}
	case stateRetrying:
		return []entry{{bucketDue, indexKey(r.due, path)}, {bucketAge, indexKey(r.since, path)}}
	case stateBlocked:
		return []entry{{bucketBlocked, indexKey(r.since, path)}}
	case stateSettling:
		return []entry{{bucketSettling, indexKey(r.since, path)}}
	case stateIgnored:
		return []entry{{bucketIgnored, indexKey(r.since, path)}}
	case stateSynced:
		if r.version == (codestory.Version{}) {
			return nil
		}
		return []entry{{bucketMoved, movedKey(r.version, path)}}
	default:
		return nil
	}
}

// indexKey sorts by n, then by path. n is not negative; see nanoseconds.
func indexKey(n int64, path string) []byte {
	return append(binary.BigEndian.AppendUint64(make([]byte, 0, 8+len(path)), uint64(n)), path...)
}

func splitIndexKey(key []byte) (n int64, path string, ok bool) {
	if len(key) < 8 {
		return 0, "", false
	}
	return int64(binary.BigEndian.Uint64(key)), string(key[8:]), true
}

// nanoseconds since 1970, for a time outside of 1970 to 2262 the nearest that there are.
func nanoseconds(t time.Time) int64 {
	switch {
	case t.Before(unixTime(0)):
		return 0
	case t.After(unixTime(math.MaxInt64)):
		return math.MaxInt64
	default:
		return t.UnixNano()
	}
}

func unixTime(ns int64) time.Time { return time.Unix(0, ns) }
