package queue

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/queue/db"
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

// ledgerEntry is what the ledger holds of one upload.
type ledgerEntry struct {
	generation  uint64
	destination uint64
	version     codestory.Version // of the file that is uploaded
	state       []byte
}

func (e ledgerEntry) encode() []byte {
	b := binary.AppendUvarint(nil, e.destination)
	b = binary.AppendVarint(b, e.version.Size)
	b = binary.AppendVarint(b, e.version.ModTime)
	b = binary.AppendVarint(b, e.version.ChangeTime)
	b = binary.AppendUvarint(b, e.version.Inode)
	return append(b, e.state...)
}

func decodeLedger(key, value []byte) (path string, e ledgerEntry, err error) {
	path, generation, ok := splitLedgerKey(key)
	d := decoder{rest: value}
	e = ledgerEntry{generation: generation, destination: d.uvarint(), version: codestory.Version{
		Size: d.varint(), ModTime: d.varint(), ChangeTime: d.varint(), Inode: d.uvarint(),
	}}
	e.state = d.rest
	if !ok || d.bad {
		return "", ledgerEntry{}, fmt.Errorf("%w: an entry of the ledger does not decode", ErrDamaged)
	}
	return path, e, nil
}

// State is what was saved last for an upload of this version to this destination; nil where nothing was.
func (c *Claim) State() []byte {
	var state []byte
	err := c.q.view(func(tx *db.Tx) error {
		key := ledgerKey(string(c.Path), c.generation)
		value := tx.Bucket(bucketLedger).Get(key)
		if value == nil {
			return nil
		}
		_, e, err := decodeLedger(key, value)
		if err == nil && e.destination == c.q.destination {
			state = slices.Clone(e.state)
		}
		return err
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
		e := ledgerEntry{generation: c.generation, destination: ch.destination, version: c.Version, state: state}
		key := ledgerKey(string(c.Path), c.generation)
		return ch.tx.Bucket(bucketLedger).Put(key, e.encode())
	})
}

// forgetUpload takes an upload out of the ledger, if it is there.
func (ch *change) forgetUpload(path string, generation uint64) error {
	key, ledger := ledgerKey(path, generation), ch.tx.Bucket(bucketLedger)
	if ledger.Get(key) == nil {
		return nil
	}
	return ledger.Delete(key)
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
	err = q.view(func(tx *db.Tx) error {
		c := tx.Bucket(bucketLedger).Cursor()
		for k, v := c.First(); k != nil && len(uploads) < limit; k, v = c.Next() {
			path, e, err := decodeLedger(k, v)
			if err != nil {
				return err
			}
			if _, busy := claimed[path]; busy || e.destination != q.destination {
				continue
			}
			r, known, err := getRecord(tx, path)
			if err != nil {
				return err
			}
			if known && r.generation == e.generation && r.state != stateSynced {
				continue
			}
			uploads = append(uploads, Upload{codestory.Path(path), bytes.Clone(e.state), e.generation})
		}
		return nil
	})
	return uploads, err
}

// Forget takes an upload that was aborted out of the ledger.
func (q *Queue) Forget(u Upload) error {
	return q.commit(func(ch *change) error { return ch.forgetUpload(string(u.Path), u.generation) })
}
