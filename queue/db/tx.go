package db

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	bolt "go.etcd.io/bbolt"
)

// Tx is a transaction. A value whose checksum is wrong reads as absent, a cursor ends at it, and the transaction fails
// with ErrDamaged whatever its function returns. Keys and values that are read are valid, and must not be changed, until
// the transaction ends.
type Tx struct {
	bolt   *bolt.Tx
	damage error // the first that was met
}

// ID is the number of the transaction. Each write transaction has the next one.
func (tx *Tx) ID() int { return tx.bolt.ID() }

// OnCommit calls f once the transaction is durable, in the order of transactions. f must not begin one.
func (tx *Tx) OnCommit(f func()) { tx.bolt.OnCommit(f) }

// Bucket returns a bucket of the layout.
func (tx *Tx) Bucket(name []byte) Bucket {
	b := tx.bolt.Bucket(name)
	if b == nil {
		panic(fmt.Sprintf("there is no bucket %q", name)) // which is damage, since Open has seen it: see guard
	}
	return Bucket{b, tx}
}

// unseal is what was sealed under the key; nil, and damage, if it does not match its checksum.
func (tx *Tx) unseal(key, sealed []byte) []byte {
	body, ok := unseal(key, sealed)
	if !ok && tx.damage == nil {
		tx.damage = fmt.Errorf("%w: the checksum of %.100q is wrong", ErrDamaged, key)
	}
	return body
}

// Bucket is a bucket in a transaction.
type Bucket struct {
	bolt *bolt.Bucket
	tx   *Tx
}

// Get returns the value of the key; nil if there is none.
func (b Bucket) Get(key []byte) []byte {
	sealed := b.bolt.Get(key)
	if sealed == nil {
		return nil
	}
	return b.tx.unseal(key, sealed)
}

// Put sets the value of the key. It may use value's memory until the transaction ends.
func (b Bucket) Put(key, value []byte) error { return b.bolt.Put(key, seal(key, value)) }

// Delete removes the key. It is a no-op if there is none.
func (b Bucket) Delete(key []byte) error { return b.bolt.Delete(key) }

// NextSequence returns 1, then 2, and so on.
func (b Bucket) NextSequence() (uint64, error) { return b.bolt.NextSequence() }

// ForEach calls fn with each key and value, in the order of keys. fn must not change the bucket.
func (b Bucket) ForEach(fn func(key, value []byte) error) error {
	c := b.Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		if err := fn(k, v); err != nil {
			return err
		}
	}
	return nil
}

// Cursor returns a cursor over the keys, in order.
func (b Bucket) Cursor() Cursor { return Cursor{b.bolt.Cursor(), b.tx} }

// Cursor goes through the keys of a bucket. Each method returns a nil key if there is no such key.
type Cursor struct {
	bolt *bolt.Cursor
	tx   *Tx
}

func (c Cursor) at(key, sealed []byte) (k, v []byte) {
	if key == nil {
		return nil, nil
	}
	if v = c.tx.unseal(key, sealed); v == nil {
		return nil, nil
	}
	return key, v
}

// First returns the first key.
func (c Cursor) First() (key, value []byte) { return c.at(c.bolt.First()) }

// Last returns the last key.
func (c Cursor) Last() (key, value []byte) { return c.at(c.bolt.Last()) }

// Next returns the key after the one that was returned last.
func (c Cursor) Next() (key, value []byte) { return c.at(c.bolt.Next()) }

// Prev returns the key before the one that was returned last.
func (c Cursor) Prev() (key, value []byte) { return c.at(c.bolt.Prev()) }

// Seek returns the first key that is not before seek.
func (c Cursor) Seek(seek []byte) (key, value []byte) { return c.at(c.bolt.Seek(seek)) }

// bbolt has no checksums, so flipped bits would go unseen. Each value ends with one of its key and itself: a value that
// was changed shows, and so does one that ended up under another key.

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(key, body []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, body)
}

// seal is body with its checksum behind it. It may use body's memory.
func seal(key, body []byte) []byte {
	return binary.BigEndian.AppendUint32(body, checksum(key, body))
}

// unseal is what was sealed under the key, in sealed's memory, and not nil.
func unseal(key, sealed []byte) (body []byte, ok bool) {
	n := len(sealed) - crc32.Size
	if n < 0 || binary.BigEndian.Uint32(sealed[n:]) != checksum(key, sealed[:n]) {
		return nil, false
	}
	return sealed[:n:n], true
}
