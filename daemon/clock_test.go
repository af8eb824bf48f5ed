package daemon

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/queue"
)

func TestJumped(t *testing.T) {
	t.Parallel()
	begun := time.Now()
	for went, want := range map[time.Duration]bool{
		clockEvery: false, clockEvery + time.Second: false, 0: false, -time.Second: false,
		time.Minute: true, 100 * time.Hour: true, -time.Minute: true, -100 * time.Hour: true,
	} {
		if got := jumped(begun.Round(0), begun.Round(0).Add(went)); got != want {
			t.Errorf("after %v: %v, want %v", went, got, want)
		}
	}
	// The monotonic clock does not count.
	if jumped(begun, begun.Add(time.Minute).Round(0)) != true {
		t.Error("a wall clock that went on by a minute did not jump")
	}
}

// A lid that is opened, or a clock that is set, in either direction: what waits for the store and for its time is tried
// again within seconds.
func TestClockJumps(t *testing.T) {
	for name, jump := range map[string]time.Duration{"forward": 9 * time.Hour, "backward": -9 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				var away atomic.Bool
				store := &scripted{check: func() error {
					if away.Load() {
						return errDown
					}
					return nil
				}}
				w := newWorld(t, store, Options{})
				away.Store(true)
				ctx, cancel := context.WithCancel(t.Context())
				var offset atomic.Int64
				clock := func() time.Time { return time.Now().Add(time.Duration(offset.Load())) }
				done := make(chan error)
				go func() { done <- w.Upload(ctx, t.Context()) }()
				go w.watchClock(ctx, clock)

				chapter := codestory.ChapterPath(kilo, 1)
				w.write(chapter, "x")
				claim, err := w.queue.Next(ctx)
				if err != nil {
					t.Fatal(err)
				}
				// As a retry of some minutes looks after the clock was set back.
				if err := claim.Finish(queue.Outcome{Kind: queue.Retry, Due: time.Now().Add(9 * time.Hour), Reason: "no answer"}); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Hour) // the questions to the store are as far apart as they get
				away.Store(false)
				asked := store.count("check")
				offset.Store(int64(jump))
				time.Sleep(clockEvery + time.Second)
				synctest.Wait()
				if got := w.state(chapter); got != codestory.Synced {
					t.Errorf("some seconds later it is %s, after %d more questions", got, store.count("check")-asked)
				}
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
			})
		})
	}
}
