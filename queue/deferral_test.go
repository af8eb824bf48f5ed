package queue_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/queue"
)

// A deferred item lets all others go first, and has its turn where there are none, and after a while.
func TestDeferredItemLetsOthersGoFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := open(t)
		first, second := codestory.ChapterPath(storyA, 1), codestory.ChapterPath(storyA, 2)
		enqueue(t, q, change(first, 1, 10), change(second, 1, 10))
		_ = next(t, q).Finish(queue.Outcome{Kind: queue.Deferred})
		c := next(t, q)
		if c.Path != second {
			t.Fatalf("claimed %s", c.Path)
		}
		alone := next(t, q)
		if alone.Path != first || alone.Attempt != 1 {
			t.Errorf("with all others claimed: %s, attempt %d", alone.Path, alone.Attempt)
		}
		alone.Release()
		c.Release()
		time.Sleep(10 * time.Minute)
		if c := next(t, q); c.Path != first {
			t.Errorf("after a while %s goes first", c.Path)
		}
	})
}

// The outcome that cannot be written leaves the claim open.
func TestClaimStaysOpenWhereItsOutcomeCannotBeWritten(t *testing.T) {
	t.Parallel()
	db := t.TempDir() + "/db"
	q := openAt(t, db, "a")
	enqueue(t, q, change(codestory.ChapterPath(storyA, 1), 1, 10))
	must(t, q.Close())
	q, err := queue.Open(db, "", queue.Options{ReadOnly: true})
	must(t, err)
	t.Cleanup(func() { _ = q.Close() })
	c := next(t, q)
	if err := c.Finish(queue.Outcome{Kind: queue.Done, Object: put(1, 10)}); err == nil {
		t.Fatal("a database that is only read was written")
	}
	nothingWaits(t, q)
	c.Release()
	next(t, q).Release()
}

func TestVanishedEndsWhatRests(t *testing.T) {
	t.Parallel()
	q := open(t)
	path := codestory.ChapterPath(storyA, 1)
	for name, rest := range map[string]func(c *queue.Claim){
		"blocked":  func(c *queue.Claim) { must(t, c.Finish(queue.Outcome{Kind: queue.Block, Reason: "rename it"})) },
		"settling": func(c *queue.Claim) { must(t, c.Finish(queue.Outcome{Kind: queue.Changed})) },
		"dropped":  func(c *queue.Claim) { c.Release(); must(t, q.Drop(string(path), "dropped")) },
	} {
		enqueue(t, q, change(path, 1, 10))
		rest(next(t, q))
		settling, others, _, err := q.Resting(10, "")
		if err != nil || len(settling)+len(others) != 1 {
			t.Errorf("%s: resting %q and %q, %v", name, settling, others, err)
		}
		must(t, q.Vanished(string(path)))
		if _, err := q.File(path); !errors.Is(err, codestory.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	enqueue(t, q, change(path, 1, 10))
	must(t, q.Vanished(string(path)))
	if f := file(t, q, path); f.State != codestory.Queued {
		t.Errorf("what waits is %s after it vanished", f.State)
	}
}
