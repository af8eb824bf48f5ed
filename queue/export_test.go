package queue

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/queue/db"
)

// Bare is the file as far as others see it.
func Bare(f File) File {
	f.generation = 0
	return f
}

// Invariants holds the database against itself: its pages and checksums, records against the indexes, stories
// against theirs, counts against a recount.
func Invariants(q *Queue) error {
	return q.view(func(tx *db.Tx) error {
		var counted counts
		errs := []error{tx.Check()}
		want := map[string]int{} // how many entries each index should have
		errs = append(errs, forEachRecord(tx, func(path []byte, r record) error {
			counted.add(r, q.destination)
			for _, e := range r.entries(string(path)) {
				want[string(e.bucket)]++
				if !has(tx.Bucket(e.bucket), e.key) {
					errs = append(errs, fmt.Errorf("%q is not in the index %s", path, e.bucket))
				}
			}
			if r.state == stateSynced && r.stored.destination == 0 {
				errs = append(errs, fmt.Errorf("%q is synced to nowhere", path))
			}
			if r.stored.generation > r.generation {
				errs = append(errs, fmt.Errorf("%q has a stored generation %d above its own %d", path, r.stored.generation, r.generation))
			}
			return nil
		}))
		for _, index := range indexes {
			if got := entryCount(tx.Bucket(index)); got != want[string(index)] {
				errs = append(errs, fmt.Errorf("the index %s has %d entries and should have %d", index, got, want[string(index)]))
			}
		}
		if saved, ok := savedCounts(tx, q.destination); ok && saved != counted {
			errs = append(errs, fmt.Errorf("counts are %+v and should be %+v", saved, counted))
		}
		return errors.Join(append(errs, invariantStories(tx))...)
	})
}

// invariantStories holds each story against its place among the newest, and each file with a story against that.
func invariantStories(tx *db.Tx) error {
	var errs []error
	stories := 0
	errs = append(errs, tx.Bucket(bucketStories).ForEach(func(id, _ []byte) error {
		stories++
		s, _, err := getStory(tx, codestory.StoryID(id))
		if err != nil {
			return err
		}
		newest := tx.Bucket(bucketNewest)
		if !has(newest, s.newestKey()) || string(newest.Get(s.newestKey())) != s.Owner.Text() {
			errs = append(errs, fmt.Errorf("story %s is not among the newest as its owner's", id))
		}
		if prefixed(tx.Bucket(bucketFiles), append(bytes.Clone(id), '/')) == nil {
			errs = append(errs, fmt.Errorf("story %s has no file", id))
		}
		return nil
	}))
	if got := entryCount(tx.Bucket(bucketNewest)); got != stories {
		errs = append(errs, fmt.Errorf("%d entries among the newest for %d stories", got, stories))
	}
	return errors.Join(errs...)
}

var indexes = [][]byte{bucketReady, bucketDue, bucketAge, bucketBlocked, bucketIgnored, bucketSettling, bucketMoved}

func has(b db.Bucket, key []byte) bool {
	k, _ := b.Cursor().Seek(key)
	return bytes.Equal(k, key)
}

func entryCount(b db.Bucket) (n int) {
	c := b.Cursor()
	for k, _ := c.First(); k != nil; k, _ = c.Next() {
		n++
	}
	return n
}

// Transactions is how many write transactions the database has seen.
func (q *Queue) Transactions() (n int, err error) {
	err = q.view(func(tx *db.Tx) error {
		n = tx.ID()
		return nil
	})
	return n, err
}
