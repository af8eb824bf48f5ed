package queue

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
)

// BenchmarkEnqueue makes records durable, one file to a call, from so many goroutines. Set a number of records, so that
// each makes as many: -benchtime=20000x.
func BenchmarkEnqueue(b *testing.B) {
	withWriters(b, func(b *testing.B) (write func(c Change) error) {
		q := openQueue(b)
		return func(c Change) error { return q.Enqueue([]Change{c}) }
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
