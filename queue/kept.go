package queue

import (
	"errors"
	"strconv"

	bolt "go.etcd.io/bbolt"

	"github.com/codestory/codestoryd"
)

// What neither the output directory nor a store can tell stands in a second file too, beside the database: what a person
// dropped or deleted, that the queue is paused, which forms were signed, and which uploads in parts are open. While the database is whole it is the truth,
// and the file follows it; where it was lost the file is all that is left of this, see rebuild.go.

// The kinds of what is kept.
const (
	keptDropped = "dropped"
	keptPaused  = "paused"
	keptForm    = "form"
	keptRemoval = "removal"
	keptUpload  = "upload"
)

// kept is one thing of it, as JSON in one line of the file.
type kept struct {
	Kind        string            `json:"kind"`
	Path        string            `json:"path,omitempty"` // quoted as Go does: it may be no UTF-8
	Generation  uint64            `json:"generation,omitempty"`
	Version     codestory.Version `json:"version,omitzero"`
	Since       int64             `json:"since,omitempty"` // nanoseconds since 1970
	Reason      string            `json:"reason,omitempty"`
	Destination string            `json:"destination,omitempty"` // its name
	Until       int64             `json:"until,omitempty"`       // nanoseconds since 1970
	Once        bool              `json:"once,omitempty"`        // a removal was done for the first time
	State       []byte            `json:"state,omitempty"`       // of an upload
	Ended       bool              `json:"ended,omitempty"`       // what stood under this key is over
}

// keptKey tells one thing that is kept from another.
type keptKey struct {
	kind, path string
	generation uint64
}

func (k kept) key() keptKey { return keptKey{k.Kind, k.Path, k.Generation} }

func (k kept) name() (string, error) { return strconv.Unquote(k.Path) }

func keepDropped(path string, r record) kept {
	return kept{Kind: keptDropped, Path: strconv.QuoteToASCII(path), Version: r.version, Since: r.since, Reason: r.reason}
}

func (f form) keep(path, destination string) kept {
	return kept{Kind: keptForm, Path: strconv.QuoteToASCII(path), Destination: destination, Until: f.until}
}

func (r removal) keep(path, destination string) kept {
	return kept{Kind: keptRemoval, Path: strconv.QuoteToASCII(path), Destination: destination, Since: r.since, Until: r.until, Once: r.once}
}

func keepUpload(path string, generation uint64) kept {
	return kept{Kind: keptUpload, Path: strconv.QuoteToASCII(path), Generation: generation}
}

func ended(k kept) kept {
	return kept{Kind: k.Kind, Path: k.Path, Generation: k.Generation, Ended: true}
}

// keep has the lines written before the transaction is committed. Killed between the two, the file is ahead of the
// database by what nobody was told of yet.
func (ch *change) keep(lines ...kept) { ch.kept = append(ch.kept, lines...) }

// keepDrop notes where next begins or ends to be dropped.
func (ch *change) keepDrop(path string, old, next record) {
	switch {
	case next.state == stateIgnored:
		ch.keep(keepDropped(path, next))
	case old.state == stateIgnored:
		ch.keep(ended(keepDropped(path, old)))
	}
}

// gather collects all that is to be kept from the database.
func gather(tx *bolt.Tx) (map[keptKey]kept, error) {
	all := map[keptKey]kept{}
	add := func(k kept) { all[k.key()] = k }
	err := tx.Bucket(bucketIgnored).ForEach(func(k, _ []byte) error {
		_, path, _ := splitIndexKey(k)
		r, ok, err := getRecord(tx, path)
		if err != nil {
			return err
		}
		if ok {
			add(keepDropped(path, r))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	names := destinationNames(tx)
	err = tx.Bucket(bucketLedger).ForEach(func(k, v []byte) error {
		path, e, err := decodeLedger(k, v)
		if err != nil {
			return err
		}
		add(e.keep(path, names[e.destination]))
		return nil
	})
	err = errors.Join(err, tx.Bucket(bucketForms).ForEach(func(k, v []byte) error {
		f, err := decodeForm(k, v)
		add(f.keep(string(k), names[f.destination]))
		return err
	}))
	err = errors.Join(err, tx.Bucket(bucketRemovals).ForEach(func(k, v []byte) error {
		r, err := decodeRemoval(k, v)
		add(r.keep(string(k), names[r.destination]))
		return err
	}))
	if since := tx.Bucket(bucketMeta).Get(keyPaused); since != nil {
		add(kept{Kind: keptPaused, Reason: string(since)})
	}
	return all, err
}
