package queue

import (
	"bytes"
	"errors"
	"fmt"
	"hash/maphash"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/codestory/codestoryd"
)

// quickCheck is the size up to which a database is checked whole each time it is opened: that takes a tenth of a second
// or so. A larger one is checked by whoever has the time, see Checked.
const quickCheck = 16 << 20

func (q *Queue) small() bool {
	info, err := q.file.Stat()
	return err == nil && info.Size() <= quickCheck
}

// Checked reports whether Open has checked the database: a large one is not.
func (q *Queue) Checked() bool {
	q.swap.RLock()
	defer q.swap.RUnlock()
	return q.checked
}

// Check reads all of the database: its pages and free list, each value's checksum, the indexes and counts against the
// records. Where damage shows, the error is ErrDamaged; any other says that nothing was found out. It takes some
// seconds for a million files, and writes that make the database grow may have to wait for it.
func (q *Queue) Check() error {
	err := q.view(func(tx *bolt.Tx) error {
		metas, err := readMetas(q.file)
		if err != nil {
			return err
		}
		m := metas[tx.ID()%2]
		if m.txid != uint64(tx.ID()) {
			return errOverwritten
		}
		return checkPages(q.file, m)
	})
	if err != nil {
		return err
	}
	return q.view(func(tx *bolt.Tx) error {
		return errors.Join(checkRecords(tx), checkStories(tx), checkSmall(tx))
	})
}

// errOverwritten: two transactions were committed before the meta page of the one that is looked at could be read.
var errOverwritten = errors.New("the database was written to while it was checked")

// look is the database file as it was at some time.
type look struct {
	modified time.Time
	writes   int
}

// Touched reports whether somebody else has written to the file since the last call, as far as its time tells: a Check
// is due then. One that was removed, or replaced by another, is damage.
func (q *Queue) Touched() (bool, error) {
	q.writer.Lock()
	defer q.writer.Unlock()
	if q.broken != nil {
		return false, q.broken
	}
	info, err := q.file.Stat()
	if err != nil {
		return false, fmt.Errorf("looking at the database: %w", err)
	}
	if !isAt(q.file, q.path) {
		return true, q.noticed(fmt.Errorf("%w: %s was removed, or replaced, while it was in use", ErrDamaged, q.path))
	}
	before := q.looked
	q.looked = look{info.ModTime(), q.writes}
	return before != look{} && before.writes == q.writes && !before.modified.Equal(info.ModTime()), nil
}

// places sums up entries of indexes, in any order: two sums of the same entries are the same, and others are not.
type places struct {
	seed maphash.Seed
	n    int
	sum  uint64
}

func (p *places) add(index, key []byte) {
	p.n++
	p.sum += maphash.Bytes(p.seed, append(append(make([]byte, 0, 64+len(key)), index...), key...))
}

var indexes = [][]byte{bucketReady, bucketDue, bucketAge, bucketBlocked, bucketIgnored, bucketSettling, bucketMoved}

// checkRecords holds the records against the indexes and the counts.
func checkRecords(tx *bolt.Tx) error {
	seed := maphash.MakeSeed()
	want, got := places{seed: seed}, places{seed: seed}
	_, destination, err := findDestination(tx, "")
	if err != nil {
		return err
	}
	old, err := checkSchema(tx)
	if err != nil {
		return err
	}
	held := func(index []byte) bool { return !old || !bytes.Equal(index, bucketMoved) } // it is being made yet
	var counted counts
	err = forEachRecord(tx, func(path []byte, r record) error {
		counted.add(r, destination)
		for _, e := range r.entries(string(path)) {
			if held(e.bucket) {
				want.add(e.bucket, e.key)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, name := range indexes {
		if !held(name) {
			continue
		}
		err := tx.Bucket(name).ForEach(func(k, _ []byte) error {
			got.add(name, k)
			return nil
		})
		if err != nil {
			return err
		}
	}
	if got != want {
		return fmt.Errorf("%w: the indexes have %d entries that are not the %d of the records", ErrDamaged, got.n, want.n)
	}
	if saved, ok := savedCounts(tx, destination); ok && saved != counted {
		return fmt.Errorf("%w: the counts are %+v and should be %+v", ErrDamaged, saved, counted)
	}
	return nil
}

// checkStories holds the stories against their list by time and their owners.
func checkStories(tx *bolt.Tx) error {
	old, err := checkSchema(tx)
	if err != nil {
		return err
	}
	seed := maphash.MakeSeed()
	want, got := places{seed: seed}, places{seed: seed}
	err = tx.Bucket(bucketStories).ForEach(func(id, _ []byte) error {
		s, _, err := getStory(tx, codestory.StoryID(id))
		if err != nil || old { // their owners are being moved
			want.add(nil, s.newestKey())
			return err
		}
		want.add([]byte(s.Owner.Text()), s.newestKey())
		if _, ok, err := getOwnership(tx, s.ID); err != nil || !ok {
			return errors.Join(err, fmt.Errorf("%w: story %s has no owner, known or not", ErrDamaged, id))
		}
		return nil
	})
	if err != nil {
		return err
	}
	err = tx.Bucket(bucketNewest).ForEach(func(k, user []byte) error {
		if old {
			user = nil
		}
		got.add(user, k)
		return nil
	})
	if err == nil && got != want {
		return fmt.Errorf("%w: the list of stories has %d entries that are not the %d of the stories", ErrDamaged, got.n, want.n)
	}
	if err != nil || old {
		return err
	}
	owners := 0
	err = tx.Bucket(bucketOwners).ForEach(func(_, _ []byte) error {
		owners++
		return nil
	})
	if err == nil && owners != want.n {
		return fmt.Errorf("%w: there are %d owners of %d stories", ErrDamaged, owners, want.n)
	}
	return err
}

// checkSmall decodes what there is little of.
func checkSmall(tx *bolt.Tx) error {
	if old, err := checkSchema(tx); err != nil || old {
		return err // not all of it is sealed yet
	}
	err := tx.Bucket(bucketDestinations).ForEach(func(name, _ []byte) error {
		_, err := destinationNumber(tx, string(name))
		return err
	})
	_, gatherErr := gather(tx)
	return errors.Join(err, gatherErr)
}
