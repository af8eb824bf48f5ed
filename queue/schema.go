package queue

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"

	bolt "go.etcd.io/bbolt"
)

// schema is what this program writes. It reads all that came before and makes them this one when it opens them to
// write; what it does not know is left untouched. What each has that the one before had not:
//
//	2  the buckets of what is deleted from the store
//	3  values sealed with checksums; the counts; what was sent and not answered; the version of the file in the ledger;
//	   an index of what is stored, by version
//	4  the owners of stories, apart from their records
const schema = 4

// bucketsOf are the buckets that each schema added to the one before.
var bucketsOf = map[int][][]byte{
	1: {bucketMeta, bucketFiles, bucketReady, bucketDue, bucketAge, bucketBlocked, bucketIgnored, bucketSettling,
		bucketLedger, bucketStories, bucketNewest, bucketDestinations},
	2: {bucketFound, bucketForms, bucketRemovals},
	3: {bucketUnanswered, bucketMoved},
	4: {bucketOwners},
}

var (
	keySchema    = []byte("schema")    // in decimal
	keyMigration = []byte("migration") // while one is under way: the number of its step, and the last key that is done
)

// isNew reports whether nothing was ever written to the database.
func isNew(tx *bolt.Tx) bool {
	first, _ := tx.Cursor().First()
	return first == nil
}

// schemaOf is the schema of the database: 0 for a new one, and for what is none.
func schemaOf(tx *bolt.Tx) int {
	meta := tx.Bucket(bucketMeta)
	if meta == nil {
		return 0
	}
	n, err := strconv.Atoi(string(meta.Get(keySchema)))
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// checkSchema refuses what is no database of this program, or one of a newer program. old is whether it has to be
// migrated before it is written to.
func checkSchema(tx *bolt.Tx) (old bool, err error) {
	got := schemaOf(tx)
	switch {
	case got == 0:
		return false, fmt.Errorf("%w: it is not one of codestoryd", ErrDamaged)
	case got > schema:
		return false, fmt.Errorf("the database has schema %d and this program reads %d at most: use the codestoryd that made it, or a newer one", got, schema)
	}
	for n := 1; n <= got; n++ {
		if missing := slices.IndexFunc(bucketsOf[n], func(name []byte) bool { return tx.Bucket(name) == nil }); missing >= 0 {
			return false, fmt.Errorf("%w: it has no bucket %q", ErrDamaged, bucketsOf[n][missing])
		}
	}
	return got < schema || tx.Bucket(bucketMeta).Get(keyMigration) != nil, nil
}

// makeBuckets makes the buckets that a new database, or one of an older schema, has not got.
func makeBuckets(tx *bolt.Tx) error {
	for n := schemaOf(tx) + 1; n <= schema; n++ {
		for _, name := range bucketsOf[n] {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
	}
	return tx.Bucket(bucketMeta).Put(keySchema, []byte(strconv.Itoa(schema)))
}

// migrateAtOnce bounds one transaction of a migration, in bytes of values.
const migrateAtOnce = 4 << 20

// converting are the steps of a migration: the buckets whose values change, and how. Schema 3 seals them.
var converting = []struct {
	bucket  []byte
	convert func(tx *bolt.Tx, key, value []byte) ([]byte, error)
}{
	{bucketDestinations, sealBare},
	{bucketForms, sealBare},
	{bucketRemovals, sealBare},
	{bucketLedger, sealLedger},
	{bucketStories, convertStory},
	{bucketFiles, sealRecord},
	{bucketStories, convertStory}, // of a database that was at schema 3
}

// stepsTo3 is how many of the steps bring a database to schema 3.
const stepsTo3 = 6

// migrate brings a database of an older schema to this one, in transactions of bounded size. Killed between two of them,
// it goes on where it was: the first says that the schema is the new one, so that no older program reads a mixture.
func (q *Queue) migrate() error {
	for more := true; more; {
		err := q.commit(func(ch *change) (err error) {
			more, err = migrateSome(ch.tx)
			return err
		})
		if err != nil {
			return fmt.Errorf("bringing the database to schema %d: %w", schema, err)
		}
	}
	return nil
}

func migrateSome(tx *bolt.Tx) (more bool, err error) {
	step, last := 0, []byte(nil)
	if schemaOf(tx) >= 3 {
		step = stepsTo3
	}
	if err := makeBuckets(tx); err != nil {
		return false, err
	}
	meta := tx.Bucket(bucketMeta)
	if at := meta.Get(keyMigration); len(at) > 0 {
		step, last = int(at[0]), bytes.Clone(at[1:])
	}
	if step >= len(converting) {
		return false, meta.Delete(keyMigration)
	}
	last, err = convertSome(tx, converting[step].bucket, last, converting[step].convert)
	if err != nil {
		return false, err
	}
	if last == nil {
		step++
	}
	return true, meta.Put(keyMigration, append([]byte{byte(step)}, last...))
}

// convertSome converts what follows the key after, nil for the start. last is nil once there is no more.
func convertSome(tx *bolt.Tx, bucket, after []byte, convert func(tx *bolt.Tx, key, value []byte) ([]byte, error),
) (last []byte, err error) {
	type pair struct{ key, value []byte }
	b := tx.Bucket(bucket)
	var some []pair
	bytesLeft := migrateAtOnce
	c := b.Cursor()
	k, v := c.Seek(after)
	if len(after) > 0 && bytes.Equal(k, after) {
		k, v = c.Next()
	}
	for ; k != nil && bytesLeft > 0; k, v = c.Next() {
		value, err := convert(tx, k, v)
		if err != nil {
			return nil, err
		}
		bytesLeft -= len(k) + len(value)
		some = append(some, pair{slices.Clone(k), value})
	}
	for _, p := range some {
		if err := b.Put(p.key, p.value); err != nil {
			return nil, err
		}
	}
	if k == nil {
		return nil, nil
	}
	return some[len(some)-1].key, nil
}

func sealBare(_ *bolt.Tx, key, value []byte) ([]byte, error) {
	return seal(key, bytes.Clone(value)), nil
}

// sealRecord also makes the entry in the index that schema 3 brought.
func sealRecord(tx *bolt.Tx, key, value []byte) ([]byte, error) {
	r, err := decode(key, value)
	if err != nil {
		return nil, fmt.Errorf("%w: the record of %q does not decode", ErrDamaged, key)
	}
	if r.state == stateSynced {
		for _, e := range r.entries(string(key)) {
			if err := tx.Bucket(e.bucket).Put(e.key, nil); err != nil {
				return nil, err
			}
		}
	}
	return r.encode(string(key)), nil
}

// sealLedger converts an upload of schema 1, which is the number of the destination and the state. The version of the
// file is not known: it is in the record, for as long as that is not superseded.
func sealLedger(_ *bolt.Tx, key, value []byte) ([]byte, error) {
	destination, n := binary.Uvarint(value)
	if n <= 0 {
		return nil, fmt.Errorf("%w: an entry of the ledger does not decode", ErrDamaged)
	}
	return ledgerEntry{destination: destination, state: value[n:]}.encode(key), nil
}
