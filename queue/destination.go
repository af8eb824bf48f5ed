package queue

import (
	"encoding/binary"
	"errors"
	"fmt"

	bolt "go.etcd.io/bbolt"
)

// A record names the store that its object is in by a small number; 0 is none.

var keyDestination = []byte("destination")

// destinationNumber is that of the name, 0 where there is none. One of schema 1 has no seal.
func destinationNumber(tx *bolt.Tx, name string) (uint64, error) {
	value := tx.Bucket(bucketDestinations).Get([]byte(name))
	if value == nil {
		return 0, nil
	}
	n, length := binary.Uvarint(value)
	if length == len(value) {
		return n, nil
	}
	if body, ok := unseal([]byte(name), value); !ok || length != len(body) {
		return 0, fmt.Errorf("%w: the number of a store does not decode", ErrDamaged)
	}
	return n, nil
}

func destinationNames(tx *bolt.Tx) map[uint64]string {
	names := map[uint64]string{}
	_ = tx.Bucket(bucketDestinations).ForEach(func(name, value []byte) error {
		n, _ := binary.Uvarint(value)
		names[n] = string(name)
		return nil
	})
	return names
}

// findDestination finds the destination of that name, or the one that was named last where name is "". Its number is 0
// where nothing was ever sent there.
func findDestination(tx *bolt.Tx, name string) (string, uint64, error) {
	if name == "" {
		name = string(tx.Bucket(bucketMeta).Get(keyDestination))
	}
	n, err := destinationNumber(tx, name)
	return name, n, err
}

// makeDestination is findDestination for one that may be new.
func makeDestination(tx *bolt.Tx, name string) (string, uint64, error) {
	name, n, err := findDestination(tx, name)
	if name == "" || n != 0 || err != nil {
		return name, n, err
	}
	if n, err = tx.Bucket(bucketDestinations).NextSequence(); err != nil {
		return "", 0, err
	}
	value := seal([]byte(name), binary.AppendUvarint(nil, n))
	return name, n, tx.Bucket(bucketDestinations).Put([]byte(name), value)
}

// Use makes the store of that name the one that the index is about, as Open does. It has to be called before anything
// is claimed.
func (q *Queue) Use(destination string) error {
	q.mu.Lock()
	busy := len(q.claimed) > 0
	q.mu.Unlock()
	if busy {
		return errors.New("the destination of a queue that is at work cannot change")
	}
	return q.choose(destination, false)
}

// choose finds the destination and the counts for it. Where it is not the one of before it is made known, remembered as
// the last, and all is counted anew.
func (q *Queue) choose(destination string, readOnly bool) error {
	var (
		name   string
		number uint64
		counts counts
		ready  bool
	)
	err := q.view(func(tx *bolt.Tx) (err error) {
		last := string(tx.Bucket(bucketMeta).Get(keyDestination))
		if name, number, err = findDestination(tx, destination); err != nil {
			return err
		}
		counts, ready = savedCounts(tx, number)
		if !ready && readOnly {
			counts, err = recount(tx, number)
		}
		ready = ready && name == last
		return err
	})
	if err == nil && !ready && !readOnly {
		err = q.commit(func(ch *change) error {
			if name, number, err = makeDestination(ch.tx, destination); err != nil {
				return err
			}
			if counts, err = recount(ch.tx, number); err != nil {
				return err
			}
			meta := ch.tx.Bucket(bucketMeta)
			return errors.Join(meta.Put(keyDestination, []byte(name)), meta.Put(keyCounts, counts.encode(number)))
		})
	}
	if err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.swap.Lock()
	defer q.swap.Unlock()
	q.name, q.destination, q.counts = name, number, counts
	return nil
}
