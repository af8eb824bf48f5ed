package queue

import (
	"fmt"
	"slices"
	"strconv"

	bolt "go.etcd.io/bbolt"
)

// schema is what this program writes. It reads all that came before and makes them this one when it opens them to
// write; what it does not know is left untouched.
const schema = 3

// bucketsOf are the buckets that each schema added to the one before.
var bucketsOf = map[int][][]byte{
	1: {bucketMeta, bucketFiles, bucketReady, bucketDue, bucketAge, bucketBlocked, bucketIgnored, bucketSettling,
		bucketLedger, bucketStories, bucketNewest, bucketDestinations},
	2: {bucketFound, bucketForms, bucketRemovals},
	3: {bucketUnanswered},
}

var keySchema = []byte("schema")

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

// checkSchema refuses what is no database of this program, or one of a newer program.
func checkSchema(tx *bolt.Tx) error {
	switch got := schemaOf(tx); {
	case got == 0:
		return fmt.Errorf("%w: it is not one of codestoryd", ErrDamaged)
	case got > schema:
		return fmt.Errorf("the database has schema %d and this program reads %d at most: use the codestoryd that made it, or a newer one", got, schema)
	default:
		for n := 1; n <= got; n++ {
			if missing := slices.IndexFunc(bucketsOf[n], func(name []byte) bool { return tx.Bucket(name) == nil }); missing >= 0 {
				return fmt.Errorf("%w: it has no bucket %q", ErrDamaged, bucketsOf[n][missing])
			}
		}
		return nil
	}
}

// migrate makes a new database, or one of an older schema, one of this schema.
func migrate(tx *bolt.Tx) error {
	for n := schemaOf(tx) + 1; n <= schema; n++ {
		for _, name := range bucketsOf[n] {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
	}
	return tx.Bucket(bucketMeta).Put(keySchema, []byte(strconv.Itoa(schema)))
}
