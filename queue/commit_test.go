package queue

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/queue/db"
)

func openQueue(t testing.TB) *Queue {
	t.Helper()
	q, err := Open(filepath.Join(t.TempDir(), "codestoryd.db"), "a", Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = q.Close() })
	return q
}

// numbered is a change of one of many files, a thousand to a story.
func numbered(n int) Change {
	id := fmt.Sprintf("%08d-0000-4000-8000-000000000000", n/1000)
	return Change{
		Path:    string(codestory.ChapterPath(codestory.StoryID(id), 1+n%1000)),
		Version: codestory.Version{Size: 1 << 20, ModTime: 1, ChangeTime: 1, Inode: uint64(n)},
	}
}

func transactions(t *testing.T, q *Queue) (n int) {
	t.Helper()
	err := q.view(func(tx *db.Tx) error {
		n = tx.ID()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestCommitManyWriters: what many writers enqueue at once is there for each when its call returns.
func TestCommitManyWriters(t *testing.T) {
	t.Parallel()
	q := openQueue(t)
	before := transactions(t, q)
	const writers, each = 32, 20
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				c := numbered(w*each + i)
				if err := q.Enqueue([]Change{c}); err != nil {
					t.Error(err)
				}
				if f, err := q.File(codestory.Path(c.Path)); err != nil || f.State != codestory.Queued {
					t.Errorf("after Enqueue: %+v, %v", f, err)
				}
			}
		})
	}
	wg.Wait()
	got := transactions(t, q) - before
	t.Logf("%d calls of %d writers took %d transactions", writers*each, writers, got)
	if got > writers*each {
		t.Error("more transactions than calls")
	}
	if err := Invariants(q); err != nil {
		t.Error(err)
	}
}

// TestEnqueueAllOrNone: one change that cannot be written takes those of its own call with it.
func TestEnqueueAllOrNone(t *testing.T) {
	t.Parallel()
	q := openQueue(t)
	if err := q.Enqueue([]Change{numbered(1), {Path: ""}, numbered(2)}); err == nil {
		t.Fatal("a change without a path was taken")
	}
	if s, err := q.Stats(); err != nil || s != (Stats{}) {
		t.Errorf("%+v, %v, want nothing", s, err)
	}
	if err := Invariants(q); err != nil {
		t.Error(err)
	}
}

// TestNoDeadlockWhileGrowing: claims and look-ups go on while the database grows, for which bbolt waits for all
// readers and lets no new one in.
func TestNoDeadlockWhileGrowing(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it writes many thousand records")
	}
	t.Parallel()
	q, err := Open(filepath.Join(t.TempDir(), "codestoryd.db"), "a", Options{})
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	forever := func(fn func() error) {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := fn(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	if err := q.Enqueue([]Change{numbered(0)}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		forever(func() error {
			_, err := q.Files(codestory.Path(numbered(0).Path).Story())
			return err
		})
		forever(func() error {
			c, err := q.Next(t.Context())
			if err == nil {
				c.Release()
			}
			return err
		})
	}
	finished := make(chan struct{})
	wg.Go(func() {
		defer close(finished)
		for n := 0; n < 5_000; n += 100 {
			var changes []Change
			for i := range 100 {
				changes = append(changes, numbered(n+i))
			}
			if err := q.Enqueue(changes); err != nil {
				t.Error(err)
			}
		}
	})
	select {
	case <-finished:
	case <-time.After(30 * time.Second):
		t.Fatal("nobody gets on any more") // nor would Close
	}
	close(stop)
	wg.Wait()
	if err := q.Close(); err != nil {
		t.Error(err)
	}
}

// TestPromoteLooksAgain: an item that was put off once more, while its promotion waited for the writer, is left alone.
func TestPromoteLooksAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := openQueue(t)
		defer q.Close()
		path := numbered(1).Path
		if err := q.Enqueue([]Change{numbered(1)}); err != nil {
			t.Fatal(err)
		}
		c, err := q.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		now := time.Now()
		if err := c.Finish(Outcome{Kind: Retry, Due: now, Reason: "no answer"}); err != nil {
			t.Fatal(err)
		}
		promoted := make(chan error, 1)
		err = q.commit(func(ch *change) error {
			go func() {
				_, err := q.promote(now)
				promoted <- err
			}()
			synctest.Wait() // until it has seen the item as it was, and waits for this transaction
			r, _, err := getRecord(ch.tx, path)
			if err != nil {
				return err
			}
			later := r
			later.due = now.Add(time.Hour).UnixNano()
			return ch.put(path, r, true, later)
		})
		if err := errors.Join(err, <-promoted); err != nil {
			t.Fatal(err)
		}
		if f, err := q.File(codestory.Path(path)); err != nil || f.State != codestory.Retrying {
			t.Errorf("it is %+v, %v", f, err)
		}
	})
}
