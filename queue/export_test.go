package queue

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"

	bolt "go.etcd.io/bbolt"

	"github.com/codestory/codestoryd"
)

// Bare is the file as far as others see it.
func Bare(f File) File {
	f.generation = 0
	return f
}

// Invariants holds the database against itself: bbolt's own check of its pages, records against the indexes, stories
// against theirs, counts against a recount.
func Invariants(q *Queue) error {
	var recount counts
	err := q.view(func(tx *bolt.Tx) error {
		errs := []error{bboltCheck(tx)}
		want := map[string]int{} // how many entries each index should have
		errs = append(errs, forEachRecord(tx, func(path []byte, r record) error {
			recount.add(r, q.destination)
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
		errs = append(errs, invariantStories(tx))
		return errors.Join(errs...)
	})
	err = errors.Join(err, q.Check(), invariantKept(q))
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.counts != recount {
		err = errors.Join(err, fmt.Errorf("counts are %+v and a recount gives %+v", q.counts, recount))
	}
	return err
}

func bboltCheck(tx *bolt.Tx) error {
	var errs []error
	for err := range tx.Check() {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// invariantKept holds the file beside the database against it.
func invariantKept(q *Queue) error {
	q.writer.Lock()
	defer q.writer.Unlock()
	if q.kept.file == nil { // opened read-only
		return nil
	}
	got, unread, found, err := readKept(q.kept.path)
	if err != nil || !found || unread > 0 {
		return fmt.Errorf("what is kept: found %t, unread %d, %w", found, unread, err)
	}
	return q.view(func(tx *bolt.Tx) error {
		want, err := gather(tx)
		if err == nil && !reflect.DeepEqual(got, want) {
			err = fmt.Errorf("kept is %+v and should be %+v", got, want)
		}
		return err
	})
}

// invariantStories holds each story against its place among the newest, and each file with a story against that.
func invariantStories(tx *bolt.Tx) error {
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

func has(b *bolt.Bucket, key []byte) bool {
	k, _ := b.Cursor().Seek(key)
	return bytes.Equal(k, key)
}

func entryCount(b *bolt.Bucket) (n int) {
	c := b.Cursor()
	for k, _ := c.First(); k != nil; k, _ = c.Next() {
		n++
	}
	return n
}

// Transactions is how many write transactions the database has seen.
func (q *Queue) Transactions() (n int, err error) {
	err = q.view(func(tx *bolt.Tx) error {
		n = tx.ID()
		return nil
	})
	return n, err
}

// MigrateSome does the first n transactions of a migration, and reports whether those are all.
func MigrateSome(path string, n int) (done bool, err error) {
	db, err := bolt.Open(path, 0o600, nil)
	if err != nil {
		return false, err
	}
	for range n {
		err = errors.Join(err, db.Update(func(tx *bolt.Tx) (err error) {
			more, err := migrateSome(tx)
			done = !more
			return err
		}))
	}
	return done, errors.Join(err, db.Close())
}

// Unchecked are Options that leave damage to be met later, as it is in a database too large to be checked each time.
func Unchecked() Options { return Options{unchecked: true} }

// CompactNow compacts the database whether that pays or not.
func CompactNow(q *Queue) error {
	q.writer.Lock()
	defer q.writer.Unlock()
	return q.compact()
}
