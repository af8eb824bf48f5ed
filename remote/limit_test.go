package remote

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func constant(perSecond int64) func(time.Time) int64 {
	return func(time.Time) int64 { return perSecond }
}

func TestLimiterPassesItsRate(t *testing.T) {
	t.Parallel()
	for _, perSecond := range []int64{1, 100, 64 << 10, 10 << 20} {
		synctest.Test(t, func(t *testing.T) {
			l := NewLimiter(constant(perSecond))
			start := time.Now()
			for range 4 { // four who share it
				go func() {
					for sent := int64(0); sent < 5*perSecond; {
						n := min(int64(l.Chunk()), 5*perSecond-sent)
						if err := l.Wait(t.Context(), int(n)); err != nil {
							t.Errorf("wait: %v", err)
						}
						sent += n
					}
				}()
			}
			synctest.Wait()
			time.Sleep(20*time.Second - credit - time.Millisecond)
			synctest.Wait()
			l.mu.Lock()
			free := l.free
			l.mu.Unlock()
			if took := free.Sub(start); took < 20*time.Second-credit-time.Millisecond || took > 20*time.Second {
				t.Errorf("at %d B/s: 20 s worth of bytes took %v", perSecond, took)
			}
			time.Sleep(credit + time.Second)
		})
	}
}

func TestLimiterFollowsTheTimetable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		l := NewLimiter(func(now time.Time) int64 {
			switch since := now.Sub(start); {
			case since < 10*time.Second:
				return 1000
			case since < 20*time.Second:
				return 100
			default:
				return 0
			}
		})
		// 10 s at 1,000 and 10 s at 100, then no limit at all.
		if err := l.Wait(t.Context(), 1<<20); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took < 20*time.Second || took > 20*time.Second+500*time.Millisecond {
			t.Errorf("got through after %v, want just after 20s", took)
		}
	})
}

func TestLimiterUnlimited(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		for _, l := range []*Limiter{nil, NewLimiter(constant(0)), NewLimiter(constant(-1))} {
			if err := l.Wait(t.Context(), 1<<30); err != nil {
				t.Fatal(err)
			}
			if got := l.Chunk(); got != maxChunk {
				t.Errorf("chunk %d, want %d", got, maxChunk)
			}
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("waited %v without a limit", took)
		}
	})
}

func TestLimiterSavesUpNoMoreThanItsCredit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(constant(1000))
		time.Sleep(time.Hour)
		start := time.Now()
		if err := l.Wait(t.Context(), 1000); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took != time.Second-credit {
			t.Errorf("a second's worth after an idle hour took %v, want %v", took, time.Second-credit)
		}
	})
}

func TestLimiterEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(constant(1))
		ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
		defer cancel()
		start := time.Now()
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if err := l.Wait(ctx, 100); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("got %v, want the context's error", err)
				}
			})
		}
		wg.Wait()
		if took := time.Since(start); took != 2500*time.Millisecond {
			t.Errorf("ended after %v, want 2.5s", took)
		}
		if err := (*Limiter)(nil).Wait(ctx, 1); err == nil {
			t.Error("no error of an ended context without a limit")
		}
	})
}

func TestChunkIsAQuarterOfASecond(t *testing.T) {
	t.Parallel()
	for perSecond, want := range map[int64]int{1: 1, 7: 1, 8: 2, 4096: 1024, 256 << 10: 64 << 10, 1 << 30: 64 << 10} {
		if got := NewLimiter(constant(perSecond)).Chunk(); got != want {
			t.Errorf("at %d B/s: chunk %d, want %d", perSecond, got, want)
		}
	}
}
