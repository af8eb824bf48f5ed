package remote

import (
	"context"
	"sync"
	"time"
)

// maxChunk is what a write to a socket takes at once without a limit, in bytes.
const maxChunk = 64 << 10

// credit is how much time nobody used may be used later: it makes up for timers that fire late, and is the longest
// burst.
const credit = 100 * time.Millisecond

// Limiter holds everything that shares it to one bandwidth, which may change with the time of day. A nil *Limiter
// does not limit.
type Limiter struct {
	perSecond func(now time.Time) int64

	mu   sync.Mutex
	free time.Time // the line is taken until then
}

// NewLimiter asks perSecond, every time that bytes are about to pass, for the bytes per second that are allowed at
// that moment; 0 and less is no limit. It is called by many goroutines at once.
//
// What is shared out is the line's time, not a stock of bytes: a chunk takes as long as it takes at the limit of its
// own moment, so a limit that changes leaves neither debt nor credit in the old one's measure.
func NewLimiter(perSecond func(now time.Time) int64) *Limiter {
	return &Limiter{perSecond: perSecond}
}

// Chunk is the most bytes to pass at once: a quarter of a second's worth, so that nobody is held up for long and a
// change of the limit is felt soon; at least 1, at most 64 KiB.
func (l *Limiter) Chunk() int {
	if l == nil {
		return maxChunk
	}
	return chunk(l.perSecond(time.Now()))
}

func chunk(perSecond int64) int {
	if perSecond <= 0 {
		return maxChunk
	}
	return int(min(max(perSecond/4, 1), maxChunk))
}

// Wait returns once n bytes may pass, or with the error of ctx. Those who wait are served in the order they came.
func (l *Limiter) Wait(ctx context.Context, n int) error {
	for l != nil && n > 0 {
		now := time.Now()
		perSecond := l.perSecond(now)
		if perSecond <= 0 {
			break
		}
		size := min(n, chunk(perSecond))
		if err := sleep(ctx, l.take(now, size, perSecond)); err != nil {
			return err
		}
		n -= size
	}
	return ctx.Err()
}

// take reserves the line for size bytes and says how long it is until they have gone by.
func (l *Limiter) take(now time.Time, size int, perSecond int64) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if oldest := now.Add(-credit); l.free.Before(oldest) {
		l.free = oldest
	}
	l.free = l.free.Add(time.Duration(size) * time.Second / time.Duration(perSecond))
	return l.free.Sub(now)
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
