package queue

import (
	"encoding/binary"

	bolt "go.etcd.io/bbolt"
)

// A record names the store that its object is in by a small number; 0 is none.

// findDestination is the number of the destination, or 0 where nothing was ever sent there.
func findDestination(tx *bolt.Tx, name string) uint64 {
	n, _ := binary.Uvarint(tx.Bucket(bucketDestinations).Get([]byte(name)))
	return n
}

func makeDestination(tx *bolt.Tx, name string) (uint64, error) {
	if n := findDestination(tx, name); n != 0 {
		return n, nil
	}
	b := tx.Bucket(bucketDestinations)
	n, err := b.NextSequence()
	if err != nil {
		return 0, err
	}
	return n, b.Put([]byte(name), binary.AppendUvarint(nil, n))
}
