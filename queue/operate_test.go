package queue_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/queue"
)

func TestItemsInTheOrderTheyWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := open(t)
		blocked, retrying := codestory.ChapterPath(storyB, 1), codestory.ChapterPath(storyB, 2)
		enqueue(t, q, change(blocked, 1, 1), change(retrying, 1, 1))
		must(t, next(t, q).Finish(queue.Outcome{Kind: queue.Block, Reason: "too large"}))
		must(t, next(t, q).Finish(queue.Outcome{Kind: queue.Retry, Due: time.Now().Add(time.Hour), Reason: "no answer"}))
		want := []string{}
		for n := range 5 {
			path := codestory.ChapterPath(storyA, n+2)
			enqueue(t, q, change(path, 1, 1<<n))
			want = append(want, string(path)+" queued")
		}
		claim := next(t, q)
		want[0] = string(claim.Path) + " uploading"
		want = append(want, string(retrying)+" retrying", string(blocked)+" blocked")

		for _, limit := range []int{1, 2, 3, 100} {
			var got []string
			for cursor, pages := "", 0; ; pages++ {
				page, next, err := q.Items("", limit, cursor)
				must(t, err)
				for _, f := range page {
					got = append(got, f.Path+" "+string(f.State))
				}
				if cursor = next; cursor == "" {
					break
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("by pages of %d:\n%q, want\n%q", limit, got, want)
			}
		}
		for state, want := range map[codestory.FileState]int{
			codestory.Queued: 4, codestory.Uploading: 1, codestory.Retrying: 1, codestory.Blocked: 1,
		} {
			if page, next, err := q.Items(state, 100, ""); len(page) != want || next != "" || err != nil {
				t.Errorf("%s: %d items, next %q, %v; want %d", state, len(page), next, err, want)
			}
		}
		for _, cursor := range []string{"x", "!", "CQ", "AA", "AAAA", "AAAAAAAAAAAA"} {
			if _, _, err := q.Items("", 1, cursor); !errors.Is(err, codestory.ErrCursor) {
				t.Errorf("cursor %q: %v", cursor, err)
			}
		}
		claim.Release()
	})
}

// A dropped file stays out until it changes, over restarts too, and an upload that was under way changes nothing.
func TestDropLastsUntilTheFileChanges(t *testing.T) {
	t.Parallel()
	q := open(t)
	path := codestory.ChapterPath(storyA, 1)
	enqueue(t, q, change(path, 1, 10))
	claim := next(t, q)
	must(t, q.Drop(string(path), "dropped by request"))
	must(t, claim.Finish(queue.Outcome{Kind: queue.Done, Object: put(1, 10)}))
	enqueue(t, q, change(path, 1, 10))
	nothingWaits(t, q)
	if f := file(t, q, path); f.State != codestory.LeftOut || f.Reason != "dropped by request" || f.Stored == nil {
		t.Errorf("file: %+v", f)
	}
	ignored, err := q.Ignored(10)
	if err != nil || len(ignored) != 1 || ignored[0] != (codestory.Ignored{Path: string(path), Reason: "dropped by request"}) {
		t.Errorf("ignored: %v, %v", ignored, err)
	}
	if err := q.Drop(string(path), "again"); !errors.Is(err, codestory.ErrNotFound) {
		t.Errorf("dropping what does not wait: %v", err)
	}
	enqueue(t, q, change(path, 2, 10))
	must(t, next(t, q).Finish(queue.Outcome{Kind: queue.Done, Object: put(2, 10)}))
	if f := file(t, q, path); f.State != codestory.Synced {
		t.Errorf("after a change: %+v", f)
	}
}

func TestRetryAllTakesMoreThanOneTransaction(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it writes many thousand records")
	}
	t.Parallel()
	q := open(t)
	const files = 2500
	changes := make([]queue.Change, files)
	for n := range changes {
		changes[n] = queue.Change{Path: fmt.Sprintf("%s/%d.mp3", storyA, n), Version: version(1, 1), Fault: "rename it"}
	}
	enqueue(t, q, changes...)
	if n, err := q.RetryAll(); n != files || err != nil {
		t.Errorf("RetryAll() = %d, %v", n, err)
	}
	if s := stats(t, q); s.Queued != files || s.Blocked != 0 {
		t.Errorf("stats: %+v", s)
	}
}

func TestHastenTakesMoreThanOneTransaction(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it writes many thousand records")
	}
	t.Parallel()
	q := open(t)
	const files = 1500
	for n := range files {
		enqueue(t, q, queue.Change{Path: fmt.Sprintf("%s/%d.mp3", storyA, n), Version: version(1, 1)})
	}
	var later sync.WaitGroup
	for range files {
		c := next(t, q)
		later.Go(func() {
			if err := c.Finish(queue.Outcome{Kind: queue.Retry, Due: time.Now().Add(20 * time.Hour), Reason: "by a clock that was set back since"}); err != nil {
				t.Error(err)
			}
		})
	}
	later.Wait()
	nothingWaits(t, q)
	must(t, q.Hasten())
	if s := stats(t, q); s.Queued != files || s.Retrying != 0 {
		t.Errorf("stats: %+v", s)
	}
	if c := next(t, q); c.Attempt != 2 {
		t.Errorf("attempt %d, want the second", c.Attempt)
	}
}

func TestPauseLastsOverRestarts(t *testing.T) {
	t.Parallel()
	path := t.TempDir() + "/db"
	q := openAt(t, path, "a")
	enqueue(t, q, change(codestory.ChapterPath(storyA, 1), 1, 1))
	must(t, q.SetPaused(true))
	nothingWaits(t, q)
	must(t, q.Close())
	q = openAt(t, path, "a")
	nothingWaits(t, q)
	if !stats(t, q).Paused {
		t.Error("it is not paused after a restart")
	}
	must(t, q.SetPaused(false))
	next(t, q).Release()
}
