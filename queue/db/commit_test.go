package db

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// together runs calls that all come while one transaction is under way.
func together(t *testing.T, db *DB, calls int, call func(n int) error) {
	t.Helper()
	var wg sync.WaitGroup
	must(t, db.Batch(func(*Tx) error {
		for n := range calls {
			wg.Go(func() { _ = call(n) })
		}
		synctest.Wait()
		return nil
	}))
	wg.Wait()
}

func lastID(t *testing.T, db *DB) (id int) {
	t.Helper()
	must(t, db.View(func(tx *Tx) error {
		id = tx.ID()
		return nil
	}))
	return id
}

// TestBatchTogether: calls that come while a transaction is under way share the next one. What they want to be called
// after it is, in the order of transactions.
func TestBatchTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		db := openAt(t, newPath(t), Options{})
		defer db.Close()
		before := lastID(t, db)
		const calls = 100
		var committed []int
		together(t, db, calls, func(n int) error {
			return db.Batch(func(tx *Tx) error {
				tx.OnCommit(func() { committed = append(committed, tx.ID()) })
				return tx.Bucket(bucketA).Put(sampleKey(n), nil)
			})
		})
		if got := lastID(t, db) - before; got != 2 {
			t.Errorf("%d calls that waited together took %d transactions, want 1", calls, got-1)
		}
		if n, err := keysOf(t, db); n != calls || err != nil || len(committed) != calls {
			t.Errorf("%d keys, %v, %d told", n, err, len(committed))
		}
	})
}

// TestBatchApart: of calls that share a transaction, one that fails does not fail the others, and gets its own error.
func TestBatchApart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		db := openAt(t, newPath(t), Options{})
		defer db.Close()
		const calls, bad = 20, 7
		var failed atomic.Int32
		together(t, db, calls, func(n int) error {
			key := sampleKey(n)
			if n == bad {
				key = nil
			}
			err := db.Batch(func(tx *Tx) error { return tx.Bucket(bucketA).Put(key, nil) })
			if (err != nil) != (n == bad) || n == bad && !errors.Is(err, berrors.ErrKeyRequired) {
				t.Errorf("call %d got %v", n, err)
			}
			if err != nil {
				failed.Add(1)
			}
			return err
		})
		if n, err := keysOf(t, db); n != calls-1 || err != nil || failed.Load() != 1 || db.Damage() != nil {
			t.Errorf("%d keys, %v, %d failed, damage %v", n, err, failed.Load(), db.Damage())
		}
	})
}

// TestValueUnderAnotherKey: a value that ended up under another key, or without its checksum, reads as absent and is
// damage, whatever the function of the transaction makes of it.
func TestValueUnderAnotherKey(t *testing.T) {
	t.Parallel()
	for name, value := range map[string][]byte{"another's": seal([]byte("other"), []byte("v")), "short": []byte("v")} {
		path := newSample(t)
		edit(t, path, func(tx *bolt.Tx) error { return tx.Bucket(bucketA).Put([]byte("k"), value) })
		db := openAt(t, path, Options{})
		var got []byte
		err := db.View(func(tx *Tx) error {
			got = tx.Bucket(bucketA).Get([]byte("k"))
			return nil
		})
		if got != nil || !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		if err := db.Batch(func(*Tx) error { return nil }); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: it is written to: %v", name, err)
		}
	}
}

// BenchmarkBatch and BenchmarkBboltBatch make the same values durable, one to a call, from so many goroutines: through
// this package, and by bbolt's own batching. Set a number, so that both make as many: -benchtime=20000x.
func BenchmarkBatch(b *testing.B) {
	withWriters(b, func(b *testing.B) func(n int) error {
		db := openAt(b, newPath(b), Options{})
		return func(n int) error {
			return db.Batch(func(tx *Tx) error { return tx.Bucket(bucketA).Put(fmt.Appendf(nil, "%d", n), make([]byte, 100)) })
		}
	})
}

func BenchmarkBboltBatch(b *testing.B) {
	withWriters(b, func(b *testing.B) func(n int) error {
		db, err := bolt.Open(newPath(b), 0o600, &bolt.Options{FreelistType: bolt.FreelistMapType})
		must(b, err)
		b.Cleanup(func() { _ = db.Close() })
		must(b, db.Update(func(tx *bolt.Tx) error {
			_, err := tx.CreateBucket(bucketA)
			return err
		}))
		return func(n int) error {
			return db.Batch(func(tx *bolt.Tx) error { return tx.Bucket(bucketA).Put(fmt.Appendf(nil, "%d", n), make([]byte, 104)) })
		}
	})
}

// withWriters runs a benchmark for few, many and very many goroutines that write at once.
func withWriters(b *testing.B, open func(b *testing.B) (write func(n int) error)) {
	for _, writers := range []int{16, 128, 2000} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			write := open(b)
			var n atomic.Int64
			var all sync.WaitGroup
			b.ResetTimer()
			for range writers {
				all.Go(func() {
					for i := n.Add(1); i <= int64(b.N); i = n.Add(1) {
						if err := write(int(i)); err != nil {
							b.Error(err)
						}
					}
				})
			}
			all.Wait()
			b.StopTimer()
		})
	}
}
