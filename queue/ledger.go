package queue

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	bolt "go.etcd.io/bbolt"

	"github.com/codestory/codestoryd"
)

// The ledger holds the state of every upload in parts that was begun and not seen to end. What is in it is ours to
// abort, and nothing else is.

// ledgerKey is the place of the upload of one generation of a path. NUL is in no path.
func ledgerKey(path string, generation uint64) []byte {
	return binary.BigEndian.AppendUint64(append([]byte(path), 0), generation)
}

func splitLedgerKey(key []byte) (path string, generation uint64, ok bool) {
	at := len(key) - 9
	if at < 1 || key[at] != 0 {
		return "", 0, false
	}
	return string(key[:at]), binary.BigEndian.Uint64(key[at+1:]), true
}

// State is what was saved last for an upload of this version to this destination; nil where nothing was.
func (c *Claim) State() []byte {
	var state []byte
	err := c.q.view(func(tx *bolt.Tx) error {
		destination, saved, ok := splitLedgerValue(tx.Bucket(bucketLedger).Get(ledgerKey(string(c.Path), c.generation)))
		if ok && destination == c.q.destination {
			state = slices.Clone(saved)
		}
		return nil
	})
	if err != nil {
		return nil // the next write says what is wrong
	}
	return state
}

// Save makes the state of an upload of this version durable. It stays until the claim is Done, or until the version is
// superseded and the upload was Forgotten.
func (c *Claim) Save(state []byte) error {
	return c.q.commit(func(ch *change) error {
		value := append(binary.AppendUvarint(nil, ch.destination), state...)
		return ch.tx.Bucket(bucketLedger).Put(ledgerKey(string(c.Path), c.generation), value)
	})
}

func splitLedgerValue(value []byte) (destination uint64, state []byte, ok bool) {
	destination, n := binary.Uvarint(value)
	if n <= 0 {
		return 0, nil, false
	}
	return destination, value[n:], true
}

// Upload is an upload in parts that nobody will go on with.
type Upload struct {
	Path  codestory.Path
	State []byte

	generation uint64
}

// Abandoned lists up to limit uploads to this destination whose version was superseded, dropped or is gone.
func (q *Queue) Abandoned(limit int) (uploads []Upload, err error) {
	claimed := q.claimedNow()
	err = q.view(func(tx *bolt.Tx) error {
		c := tx.Bucket(bucketLedger).Cursor()
		for k, v := c.First(); k != nil && len(uploads) < limit; k, v = c.Next() {
			path, generation, ok := splitLedgerKey(k)
			destination, state, valid := splitLedgerValue(v)
			if !ok || !valid {
				return fmt.Errorf("%w: an entry of the ledger does not decode", ErrDamaged)
			}
			if _, busy := claimed[path]; busy || destination != q.destination {
				continue
			}
			r, known, err := getRecord(tx, path)
			if err != nil {
				return err
			}
			if known && r.generation == generation && r.state != stateSynced {
				continue
			}
			uploads = append(uploads, Upload{codestory.Path(path), bytes.Clone(state), generation})
		}
		return nil
	})
	return uploads, err
}

// Forget takes an upload that was aborted out of the ledger.
func (q *Queue) Forget(u Upload) error {
	return q.commit(func(ch *change) error {
		return ch.tx.Bucket(bucketLedger).Delete(ledgerKey(string(u.Path), u.generation))
	})
}
