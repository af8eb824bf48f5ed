package queue

import (
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
)

// BenchmarkEnqueue and BenchmarkBatch make the same records durable, one file to a call, from so many goroutines: the one
// through the queue, the other with bbolt's own batching and nothing else. Their ratio is what the queue costs. Set a
// number of records, so that both make as many: -benchtime=20000x.
func BenchmarkEnqueue(b *testing.B) {
	withWriters(b, func(b *testing.B) (write func(c Change) error) {
		q := openQueue(b)
		return func(c Change) error { return q.Enqueue([]Change{c}) }
	})
}

func BenchmarkBatch(b *testing.B) {
	withWriters(b, func(b *testing.B) (write func(c Change) error) {
		db, err := bolt.Open(filepath.Join(b.TempDir(), "bare.db"), 0o600, &bolt.Options{FreelistType: bolt.FreelistMapType})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = db.Close() })
		if err := db.Update(makeBuckets); err != nil {
			b.Fatal(err)
		}
		return func(c Change) error {
			now := time.Now().UnixNano()
			r := record{state: stateQueued, generation: 1, version: c.Version, since: now, order: now}
			return db.Batch(func(tx *bolt.Tx) error { return putBare(tx, c.Path, r) })
		}
	})
}

// withWriters runs a benchmark for few, many and very many goroutines that write at once.
func withWriters(b *testing.B, open func(b *testing.B) (write func(c Change) error)) {
	for _, writers := range []int{16, 128, 2000} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			write := open(b)
			var n atomic.Int64
			var all sync.WaitGroup
			b.ResetTimer()
			for range writers {
				all.Go(func() {
					for i := n.Add(1); i <= int64(b.N); i = n.Add(1) {
						if err := write(numbered(int(i))); err != nil {
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

func putBare(tx *bolt.Tx, path string, r record) error {
	if err := tx.Bucket(bucketFiles).Put([]byte(path), r.encode(path)); err != nil {
		return err
	}
	for _, e := range r.entries(path) {
		if err := tx.Bucket(e.bucket).Put(e.key, nil); err != nil {
			return err
		}
	}
	return nil
}
