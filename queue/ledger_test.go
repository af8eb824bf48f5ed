package queue_test

import (
	"testing"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/queue"
)

// The state of an upload outlives the process, for that version and destination alone.
func TestLedgerIsThereAfterARestart(t *testing.T) {
	t.Parallel()
	db := t.TempDir() + "/db"
	path := codestory.ChapterPath(storyA, 1)
	q := openAt(t, db, "a")
	enqueue(t, q, change(path, 1, 10))
	c := next(t, q)
	if got := c.State(); got != nil {
		t.Errorf("a new upload has the state %q", got)
	}
	must(t, c.Save([]byte("id 1")))
	must(t, c.Save([]byte("id 1, part 1")))
	must(t, q.Close())

	q = openAt(t, db, "b")
	c = next(t, q)
	if got := c.State(); got != nil {
		t.Errorf("an upload to another store has the state %q", got)
	}
	c.Release()
	must(t, q.Close())

	q = openAt(t, db, "a")
	c = next(t, q)
	if got := string(c.State()); got != "id 1, part 1" {
		t.Errorf("after a restart the state is %q", got)
	}
	must(t, c.Finish(queue.Outcome{Kind: queue.Done, Object: put(1, 10)}))
	if left := abandoned(t, q); len(left) != 0 {
		t.Errorf("after it was done the ledger has %v", left)
	}
}

// An upload is abandoned once its version is superseded, dropped or gone, and never while it is under way.
func TestAbandonedUploads(t *testing.T) {
	t.Parallel()
	path := codestory.ChapterPath(storyA, 1)
	for name, abandon := range map[string]func(t *testing.T, q *queue.Queue, c *queue.Claim){
		"superseded": func(t *testing.T, q *queue.Queue, c *queue.Claim) {
			enqueue(t, q, change(path, 2, 10))
			must(t, c.Finish(queue.Outcome{Kind: queue.Changed}))
			c = next(t, q)
			must(t, c.Save([]byte("id 2")))
			c.Release()
		},
		"dropped": func(t *testing.T, q *queue.Queue, c *queue.Claim) {
			must(t, q.Drop(string(path), "dropped"))
			c.Release()
		},
		"gone": func(t *testing.T, _ *queue.Queue, c *queue.Claim) { must(t, c.Finish(queue.Outcome{Kind: queue.Gone})) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := open(t)
			enqueue(t, q, change(path, 1, 10))
			c := next(t, q)
			must(t, c.Save([]byte("id 1")))
			if left := abandoned(t, q); len(left) != 0 {
				t.Errorf("while it is under way the abandoned are %v", left)
			}
			abandon(t, q, c)
			left := abandoned(t, q)
			if len(left) != 1 || left[0].Path != path || string(left[0].State) != "id 1" {
				t.Fatalf("abandoned: %+v", left)
			}
			must(t, q.Forget(left[0]))
			if left := abandoned(t, q); len(left) != 0 {
				t.Errorf("after it was forgotten: %+v", left)
			}
		})
	}
}

// What is only put off is gone on with.
func TestUploadsThatWaitAreNotAbandoned(t *testing.T) {
	t.Parallel()
	q := open(t)
	path := codestory.ChapterPath(storyA, 1)
	enqueue(t, q, change(path, 1, 10))
	c := next(t, q)
	must(t, c.Save([]byte("id 1")))
	must(t, c.Finish(queue.Outcome{Kind: queue.Block, Reason: "a person has to act"}))
	if left := abandoned(t, q); len(left) != 0 {
		t.Errorf("abandoned: %+v", left)
	}
	must(t, q.Retry(string(path)))
	if got := string(next(t, q).State()); got != "id 1" {
		t.Errorf("state %q", got)
	}
}

func abandoned(t *testing.T, q *queue.Queue) []queue.Upload {
	t.Helper()
	uploads, err := q.Abandoned(100)
	must(t, err)
	return uploads
}
