package queue

import (
	"encoding/binary"
	"errors"

	bolt "go.etcd.io/bbolt"
)

// A record names the store that its object is in by a small number; 0 is none.

var keyDestination = []byte("destination")

// findDestination finds the destination of that name, or the one that was named last where name is "". Its number is 0
// where nothing was ever sent there.
func findDestination(tx *bolt.Tx, name string) (string, uint64) {
	if name == "" {
		name = string(tx.Bucket(bucketMeta).Get(keyDestination))
	}
	n, _ := binary.Uvarint(tx.Bucket(bucketDestinations).Get([]byte(name)))
	return name, n
}

// makeDestination is findDestination for one that may be new, and remembers it as the last.
func makeDestination(tx *bolt.Tx, name string) (string, uint64, error) {
	name, n := findDestination(tx, name)
	if name == "" {
		return "", 0, nil
	}
	if n == 0 {
		var err error
		if n, err = tx.Bucket(bucketDestinations).NextSequence(); err != nil {
			return "", 0, err
		}
		if err := tx.Bucket(bucketDestinations).Put([]byte(name), binary.AppendUvarint(nil, n)); err != nil {
			return "", 0, err
		}
	}
	return name, n, tx.Bucket(bucketMeta).Put(keyDestination, []byte(name))
}

// Use makes the store of that name the one that the index is about, as Open does. It has to be called before anything
// is claimed.
func (q *Queue) Use(destination string) error {
	q.mu.Lock()
	busy := len(q.claimed) > 0
	if !busy {
		q.counts = counts{}
	}
	q.mu.Unlock()
	if busy {
		return errors.New("the destination of a queue that is at work cannot change")
	}
	return q.load(destination, false)
}
