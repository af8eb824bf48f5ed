package queue

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/codestory/codestoryd/queue/db"
)

// A record names the store that its object is in by a small number; 0 is none.

var keyDestination = []byte("destination")

// destinationNumber is that of the name, 0 if there is none.
func destinationNumber(tx *db.Tx, name string) (uint64, error) {
	value := tx.Bucket(bucketDestinations).Get([]byte(name))
	if value == nil {
		return 0, nil
	}
	n, length := binary.Uvarint(value)
	if length != len(value) {
		return 0, fmt.Errorf("%w: the number of a store does not decode", ErrDamaged)
	}
	return n, nil
}

// findDestination finds the destination of that name, or the one that was named last where name is "". Its number is 0
// where nothing was ever sent there.
func findDestination(tx *db.Tx, name string) (string, uint64, error) {
	if name == "" {
		name = string(tx.Bucket(bucketMeta).Get(keyDestination))
	}
	n, err := destinationNumber(tx, name)
	return name, n, err
}

// makeDestination is findDestination for one that may be new.
func makeDestination(tx *db.Tx, name string) (string, uint64, error) {
	name, n, err := findDestination(tx, name)
	if name == "" || n != 0 || err != nil {
		return name, n, err
	}
	if n, err = tx.Bucket(bucketDestinations).NextSequence(); err != nil {
		return "", 0, err
	}
	return name, n, tx.Bucket(bucketDestinations).Put([]byte(name), binary.AppendUvarint(nil, n))
}

// Use makes the store of that name the one that the index is about, as Open does. It has to be called before the queue
// is shared.
func (q *Queue) Use(destination string) error {
	q.mu.Lock()
	busy := len(q.claimed) > 0
	q.mu.Unlock()
	if busy {
		return errors.New("the destination of a queue that is at work cannot change")
	}
	return q.choose(destination, false)
}

// choose finds the destination. If it is not the one of before, it is remembered as the last and all is counted again.
func (q *Queue) choose(destination string, readOnly bool) error {
	var (
		name   string
		number uint64
		ready  bool
	)
	err := q.view(func(tx *db.Tx) (err error) {
		last := string(tx.Bucket(bucketMeta).Get(keyDestination))
		if name, number, err = findDestination(tx, destination); err != nil {
			return err
		}
		_, ready = savedCounts(tx, number)
		ready = ready && name == last
		return nil
	})
	if err == nil && !ready && !readOnly {
		err = q.commit(func(ch *change) error {
			if name, number, err = makeDestination(ch.tx, destination); err != nil {
				return err
			}
			counts, err := recount(ch.tx, number)
			if err != nil {
				return err
			}
			meta := ch.tx.Bucket(bucketMeta)
			return errors.Join(meta.Put(keyDestination, []byte(name)), meta.Put(keyCounts, counts.encode(number)))
		})
	}
	if err != nil {
		return err
	}
	q.name, q.destination = name, number
	return nil
}
