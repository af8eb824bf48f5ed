package queue

import (
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
)

// benchWriters is how many goroutines write at once, for each processor.
const benchWriters = 64

// BenchmarkEnqueue and BenchmarkBatch make the same records durable, one file to a call, from many goroutines: the one
// through the queue, the other with bbolt's own batching and nothing else. Their ratio is what the queue costs.
func BenchmarkEnqueue(b *testing.B) {
	q := openQueue(b)
	var n atomic.Int64
	b.SetParallelism(benchWriters)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := q.Enqueue([]Change{numbered(int(n.Add(1)))}); err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkBatch(b *testing.B) {
	db, err := bolt.Open(filepath.Join(b.TempDir(), "bare.db"), 0o600, &bolt.Options{FreelistType: bolt.FreelistMapType})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	if err := db.Update(makeBuckets); err != nil {
		b.Fatal(err)
	}
	var n atomic.Int64
	b.SetParallelism(benchWriters)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			c := numbered(int(n.Add(1)))
			now := time.Now().UnixNano()
			r := record{state: stateQueued, generation: 1, version: c.Version, since: now, order: now}
			if err := db.Batch(func(tx *bolt.Tx) error { return putBare(tx, c.Path, r) }); err != nil {
				b.Error(err)
			}
		}
	})
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
