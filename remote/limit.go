package remote

import (
	"context"
	"sync"
	"time"
)

// maxChunk is the most that is sent at once, in bytes.
const maxChunk = 64 << 10

// credit is how much unused time may be used later: it makes up for timers that fire late and bounds bursts.
const credit = 100 * time.Millisecond

// Limiter shares one bandwidth, which may change with the time of day, among all who use it. A nil *Limiter does not
// limit.
type Limiter struct {
	perSecond func(now time.Time) int64

	mu   sync.Mutex
	free time.Time // the line is reserved until then
}

// NewLimiter calls perSecond before each chunk for the bytes per second that are allowed at that moment; 0 or less is no
// limit. Many goroutines call it at once.
//
// The limiter shares out the line's time, not a stock of bytes: a chunk takes as long as the limit of its own moment
// says, so a limit that changes leaves neither debt nor credit measured in the old one.
func NewLimiter(perSecond func(now time.Time) int64) *Limiter {
	return &Limiter{perSecond: perSecond}
}

// Chunk is the most bytes to send at once: a quarter of a second's worth, so that a change of the limit takes effect
// soon and nobody waits long; at least 1, at most 64 KiB.
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

// Wait returns once n bytes may be sent, or with the error of ctx. Callers are served in the order they came.
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

// take reserves the line for size bytes and returns how long to wait until they have passed.
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
