package queue_test

import (
	"context"
	"errors"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/queue"
)

var chapter = codestory.ChapterPath(storyA, 1)

// TestOutcomes: what a file is after each way in which a claim can end.
func TestOutcomes(t *testing.T) {
	t.Parallel()
	soon := time.Now().Add(time.Hour).Round(0)
	v := version(1, 10)
	stored := put(1, 10)
	for _, tt := range []struct {
		name    string
		outcome func(*queue.Claim) error
		want    queue.File
		stats   queue.Stats
	}{
		{"done", func(c *queue.Claim) error { return c.Finish(queue.Outcome{Kind: queue.Done, Object: stored}) },
			queue.File{State: codestory.Synced, Version: v, Stored: &stored},
			queue.Stats{SyncedFiles: 1, SyncedBytes: 10}},
		{"retry", func(c *queue.Claim) error {
			return c.Finish(queue.Outcome{Kind: queue.Retry, Due: soon, Reason: "no answer"})
		},
			queue.File{State: codestory.Retrying, Version: v, Reason: "no answer", Attempt: 1, Due: soon},
			queue.Stats{Retrying: 1, Bytes: 10}},
		{"block", func(c *queue.Claim) error { return c.Finish(queue.Outcome{Kind: queue.Block, Reason: "too large"}) },
			queue.File{State: codestory.Blocked, Version: v, Reason: "too large", Attempt: 1},
			queue.Stats{Blocked: 1, Bytes: 10}},
		{"changed", func(c *queue.Claim) error { return c.Finish(queue.Outcome{Kind: queue.Changed}) },
			queue.File{State: codestory.Settling, Version: v},
			queue.Stats{}},
		{"release", func(c *queue.Claim) error { c.Release(); return nil },
			queue.File{State: codestory.Queued, Version: v},
			queue.Stats{Queued: 1, Bytes: 10}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			q := open(t)
			enqueue(t, q, change(chapter, 1, 10))
			c := next(t, q)
			if c.Path != chapter || c.Version != v || c.Attempt != 1 || c.Stored != nil {
				t.Errorf("claimed %+v", c)
			}
			if f := file(t, q, chapter); f.State != codestory.Uploading {
				t.Errorf("while it is claimed it is %s", f.State)
			}
			if s := stats(t, q); s.Uploading != 1 || s.Queued != 0 || s.Bytes != 10 {
				t.Errorf("while it is claimed: %+v", s)
			}
			must(t, tt.outcome(c))
			tt.want.Path = string(chapter)
			f := queue.Bare(file(t, q, chapter))
			if !f.Due.Equal(tt.want.Due) {
				t.Errorf("due %v, want %v", f.Due, tt.want.Due)
			}
			f.Due = tt.want.Due
			if !reflect.DeepEqual(f, tt.want) {
				t.Errorf("it is %+v, want %+v", f, tt.want)
			}
			s := stats(t, q)
			if waits := s.Queued+s.Retrying > 0; s.Oldest.IsZero() == waits {
				t.Errorf("oldest is %v", s.Oldest)
			}
			s.Oldest = time.Time{}
			if s != tt.stats {
				t.Errorf("stats are %+v, want %+v", s, tt.stats)
			}
		})
	}
}

// TestOutdatedClaim: a claim that ends after a newer version was enqueued leaves that waiting, whatever became of it.
func TestOutdatedClaim(t *testing.T) {
	t.Parallel()
	for name, outcome := range map[string]func(*queue.Claim) error{
		"done": func(c *queue.Claim) error { return c.Finish(queue.Outcome{Kind: queue.Done, Object: put(1, 10)}) },
		"retry": func(c *queue.Claim) error {
			return c.Finish(queue.Outcome{Kind: queue.Retry, Due: time.Now().Add(time.Hour), Reason: "no answer"})
		},
		"block":   func(c *queue.Claim) error { return c.Finish(queue.Outcome{Kind: queue.Block, Reason: "too large"}) },
		"changed": func(c *queue.Claim) error { return c.Finish(queue.Outcome{Kind: queue.Changed}) },
		"gone":    func(c *queue.Claim) error { return c.Finish(queue.Outcome{Kind: queue.Gone}) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := open(t)
			enqueue(t, q, change(chapter, 1, 10))
			c := next(t, q)
			enqueue(t, q, change(chapter, 2, 20))
			nothingWaits(t, q)
			must(t, outcome(c))
			f := file(t, q, chapter)
			if f.State != codestory.Queued || f.Version != version(2, 20) || f.Attempt != 0 || f.Reason != "" {
				t.Errorf("it is %+v", f)
			}
			c = next(t, q)
			if c.Version != version(2, 20) || c.Attempt != 1 {
				t.Errorf("claimed %+v", c)
			}
			if stored := name == "done"; stored != (c.Stored != nil) || stored && *c.Stored != put(1, 10) {
				t.Errorf("stored is %+v", c.Stored)
			}
			must(t, c.Finish(queue.Outcome{Kind: queue.Done, Object: put(2, 20)}))
			if f := file(t, q, chapter); f.State != codestory.Synced || f.Stored.ETag != put(2, 20).ETag {
				t.Errorf("it is %+v", f)
			}
		})
	}
}

// TestRetryWaits: an item is claimed when its time has come and not before, whoever waits for it, and also after a
// restart.
func TestRetryWaits(t *testing.T) {
	t.Parallel()
	db := t.TempDir() + "/codestoryd.db"
	synctest.Test(t, func(t *testing.T) {
		q := openAt(t, db, "a")
		enqueue(t, q, change(chapter, 1, 10))
		for attempt, delay := range []time.Duration{time.Nanosecond, time.Second, time.Hour, 10 * time.Hour, 24 * time.Hour} {
			c := next(t, q)
			if c.Attempt != attempt+1 {
				t.Errorf("attempt %d, want %d", c.Attempt, attempt+1)
			}
			due := time.Now().Add(delay)
			must(t, c.Finish(queue.Outcome{Kind: queue.Retry, Due: due, Reason: "no answer"}))
			if attempt == 3 {
				must(t, q.Close())
				q = openAt(t, db, "a")
			}
			c, err := q.Next(t.Context())
			must(t, err)
			if now := time.Now(); !now.Equal(due) {
				t.Errorf("claimed at %v, was due at %v", now, due)
			}
			c.Release()
		}
	})
}

// TestRetryAnyTime: a time that is more than a day off was written by a clock that was wrong, and has come.
func TestRetryAnyTime(t *testing.T) {
	t.Parallel()
	q := open(t)
	at := func(n int) codestory.Path { return codestory.ChapterPath(storyA, n) }
	enqueue(t, q, change(at(1), 1, 10), change(at(2), 1, 10), change(at(3), 1, 10))
	must(t, next(t, q).Finish(queue.Outcome{Kind: queue.Retry, Due: time.Now().Add(time.Hour), Reason: "later"}))
	must(t, next(t, q).Finish(queue.Outcome{Kind: queue.Retry, Due: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), Reason: "by a clock that was wrong"}))
	must(t, next(t, q).Finish(queue.Outcome{Kind: queue.Retry, Due: time.Time{}, Reason: "at once"}))
	for _, want := range []codestory.Path{at(2), at(3)} {
		if c := next(t, q); c.Path != want {
			t.Errorf("claimed %s, want %s", c.Path, want)
		}
	}
	nothingWaits(t, q)
}

// TestRetryKeepsItsPlace: an item whose time has come has the urgency that it always had.
func TestRetryKeepsItsPlace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := open(t)
		enqueue(t, q, change(chapter, 1, 10))
		must(t, next(t, q).Finish(queue.Outcome{Kind: queue.Retry, Due: time.Now().Add(time.Minute), Reason: "no answer"}))
		time.Sleep(30 * time.Second)
		enqueue(t, q, change(codestory.ChapterPath(storyB, 1), 1, 10))
		time.Sleep(30 * time.Second)
		if c := next(t, q); c.Path != chapter {
			t.Errorf("claimed %s first", c.Path)
		}
	})
}

// TestNewVersionEndsWaiting: a new version is tried at once, whatever the older one waits for.
func TestNewVersionEndsWaiting(t *testing.T) {
	t.Parallel()
	for name, outcome := range map[string]func(*queue.Claim) error{
		"retry": func(c *queue.Claim) error {
			return c.Finish(queue.Outcome{Kind: queue.Retry, Due: time.Now().Add(time.Hour), Reason: "no answer"})
		},
		"block":   func(c *queue.Claim) error { return c.Finish(queue.Outcome{Kind: queue.Block, Reason: "too large"}) },
		"changed": func(c *queue.Claim) error { return c.Finish(queue.Outcome{Kind: queue.Changed}) },
		"done":    func(c *queue.Claim) error { return c.Finish(queue.Outcome{Kind: queue.Done, Object: put(1, 10)}) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := open(t)
			enqueue(t, q, change(chapter, 1, 10))
			must(t, outcome(next(t, q)))
			nothingWaits(t, q)
			enqueue(t, q, change(chapter, 2, 10))
			if c := next(t, q); c.Version != version(2, 10) || c.Attempt != 1 {
				t.Errorf("claimed %+v", c)
			}
		})
	}
}

// TestChangedThenSameVersion: a file that was not the version claimed, and then is (the change was undone, or came in
// between the two looks at it), is not lost when that version is enqueued again.
func TestChangedThenSameVersion(t *testing.T) {
	t.Parallel()
	q := open(t)
	enqueue(t, q, change(chapter, 1, 10))
	must(t, next(t, q).Finish(queue.Outcome{Kind: queue.Changed}))
	known, err := q.Known([]string{string(chapter)}, []codestory.Version{version(1, 10)})
	if err != nil || known[0] {
		t.Errorf("known %v, %v while it settles", known, err)
	}
	enqueue(t, q, change(chapter, 1, 10))
	if c := next(t, q); c.Version != version(1, 10) {
		t.Errorf("claimed %+v", c)
	}
}

func TestGone(t *testing.T) {
	t.Parallel()
	t.Run("never stored", func(t *testing.T) {
		t.Parallel()
		q := open(t)
		enqueue(t, q, change(chapter, 1, 10))
		must(t, next(t, q).Finish(queue.Outcome{Kind: queue.Gone}))
		if f, err := q.File(chapter); !errors.Is(err, codestory.ErrNotFound) {
			t.Errorf("it is %+v, %v", f, err)
		}
		if s, err := q.Story(storyA); !errors.Is(err, codestory.ErrNotFound) {
			t.Errorf("its story is %+v, %v", s, err)
		}
		if s := stats(t, q); s != (queue.Stats{}) {
			t.Errorf("stats are %+v", s)
		}
	})
	t.Run("an older version stored", func(t *testing.T) {
		t.Parallel()
		q := open(t)
		enqueue(t, q, change(chapter, 1, 10))
		must(t, next(t, q).Finish(queue.Outcome{Kind: queue.Done, Object: put(1, 10)}))
		enqueue(t, q, change(chapter, 2, 20))
		must(t, next(t, q).Finish(queue.Outcome{Kind: queue.Gone}))
		f := file(t, q, chapter)
		if f.State != codestory.Synced || f.Version != (codestory.Version{}) || f.Stored == nil || f.Size() != 10 {
			t.Errorf("it is %+v", f)
		}
		if s := stats(t, q); s != (queue.Stats{SyncedFiles: 1, SyncedBytes: 10}) {
			t.Errorf("stats are %+v", s)
		}
		enqueue(t, q, change(chapter, 2, 20))
		if c := next(t, q); c.Version != version(2, 20) {
			t.Errorf("back again, it was claimed as %+v", c)
		}
	})
	t.Run("stored elsewhere", func(t *testing.T) {
		t.Parallel()
		db := t.TempDir() + "/codestoryd.db"
		q := openAt(t, db, "a")
		enqueue(t, q, change(chapter, 1, 10))
		must(t, next(t, q).Finish(queue.Outcome{Kind: queue.Done, Object: put(1, 10)}))
		must(t, q.Close())
		q = openAt(t, db, "b")
		enqueue(t, q, change(chapter, 1, 10))
		must(t, next(t, q).Finish(queue.Outcome{Kind: queue.Gone}))
		if f := file(t, q, chapter); f.State != codestory.Missing || f.Stored != nil {
			t.Errorf("it is %+v", f)
		}
	})
}

// TestNextWakes: whoever waits is woken by each change that gives something to claim.
func TestNextWakes(t *testing.T) {
	t.Parallel()
	for name, wake := range map[string]func(t *testing.T, q *queue.Queue, held *queue.Claim){
		"enqueue": func(t *testing.T, q *queue.Queue, _ *queue.Claim) {
			enqueue(t, q, change(codestory.ChapterPath(storyB, 1), 1, 10))
		},
		"release": func(_ *testing.T, _ *queue.Queue, held *queue.Claim) { held.Release() },
		"retry now": func(t *testing.T, _ *queue.Queue, held *queue.Claim) {
			must(t, held.Finish(queue.Outcome{Kind: queue.Retry, Due: time.Now(), Reason: "again"}))
		},
		"done, with a newer version": func(t *testing.T, q *queue.Queue, held *queue.Claim) {
			enqueue(t, q, change(chapter, 2, 10))
			must(t, held.Finish(queue.Outcome{Kind: queue.Done, Object: put(1, 10)}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				q := open(t)
				enqueue(t, q, change(chapter, 1, 10))
				held := next(t, q)
				start := time.Now()
				claimed := make(chan error)
				go func() {
					_, err := q.Next(t.Context())
					claimed <- err
				}()
				synctest.Wait()
				wake(t, q, held)
				must(t, <-claimed)
				if waited := time.Since(start); waited != 0 {
					t.Errorf("it took %v", waited)
				}
			})
		})
	}
}

// TestNextEnds: who waits is let go when the context ends, and once it has ended nothing more is handed out, so that a
// worker stops with a backlog before it.
func TestNextEnds(t *testing.T) {
	t.Parallel()
	q := open(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if c, err := q.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Next gave %+v, %v", c, err)
	}
	enqueue(t, q, change(chapter, 1, 10))
	if c, err := q.Next(ctx); c != nil || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("after its end, Next gave %+v, %v", c, err)
	}
}

// TestClaimsAreExclusive: no path is claimed twice at once, and each version last enqueued is stored in the end.
func TestClaimsAreExclusive(t *testing.T) {
	t.Parallel()
	q := open(t)
	const paths, versions, workers = 8, 25, 6
	holders := map[codestory.Path]*atomic.Int32{}
	for n := range paths {
		holders[codestory.ChapterPath(storyA, n+1)] = new(atomic.Int32)
	}
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	var writers, claimers sync.WaitGroup
	for path := range holders {
		writers.Go(func() {
			for n := range int64(versions) {
				if err := q.Enqueue([]queue.Change{change(path, n+1, n+1)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range workers {
		claimers.Go(func() {
			for {
				c, err := q.Next(ctx)
				if err != nil {
					return
				}
				if n := holders[c.Path].Add(1); n != 1 {
					t.Errorf("%s is claimed %d times at once", c.Path, n)
				}
				if c.Stored != nil && c.Stored.Size >= c.Version.Size {
					t.Errorf("%s: claimed version %d after %d was stored", c.Path, c.Version.Size, c.Stored.Size)
				}
				holders[c.Path].Add(-1)
				if err := c.Finish(queue.Outcome{Kind: queue.Done, Object: queue.Stored{Size: c.Version.Size}}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	for ctx.Err() == nil && stats(t, q).SyncedFiles < paths {
		select {
		case <-ctx.Done():
			t.Errorf("at the end: %+v", stats(t, q))
		case <-poll.C:
		}
	}
	stop()
	claimers.Wait()
	for path := range holders {
		if f := file(t, q, path); f.State != codestory.Synced || f.Stored.Size != versions {
			t.Errorf("%+v, want version %d synced", f, versions)
		}
	}
}
