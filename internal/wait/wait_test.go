package wait

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestSleep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began := time.Now()
		if !Sleep(ctx, 59*time.Second) || time.Since(began) != 59*time.Second {
			t.Errorf("slept for %v", time.Since(began))
		}
		if Sleep(ctx, time.Hour) || time.Since(began) != time.Minute {
			t.Errorf("the end of the context was noticed after %v", time.Since(began))
		}
	})
}

// An announcement wakes all who asked before it, and nobody who asks after it.
func TestBroadcast(t *testing.T) {
	t.Parallel()
	var b Broadcast
	b.Announce()
	first, second := b.Changed(), b.Changed()
	select {
	case <-first:
		t.Error("woken by an earlier announcement")
	default:
	}
	b.Announce()
	<-first
	<-second
	select {
	case <-b.Changed():
		t.Error("woken by an earlier announcement")
	default:
	}
}

func TestBackoff(t *testing.T) {
	t.Parallel()
	b := Backoff{First: time.Second, Most: 15 * time.Second}
	for failures, most := range map[int]time.Duration{0: 1, 1: 1, 2: 2, 4: 8, 5: 15, 40: 15, 100: 15} {
		most *= time.Second
		for range 100 {
			if d := b.After(failures); d < most/10 || d > most {
				t.Errorf("%v after %d failures", d, failures)
			}
		}
	}
}
