package queue_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/queue"
)

const (
	storyA = codestory.StoryID("aaaaaaaa-0000-4000-8000-000000000000")
	storyB = codestory.StoryID("bbbbbbbb-0000-4000-8000-000000000000")
)

// open opens a new database, for the destination "a", and checks it when the test ends.
func open(t *testing.T) *queue.Queue {
	t.Helper()
	return openAt(t, filepath.Join(t.TempDir(), "codestoryd.db"), "a")
}

func openAt(t *testing.T, path, destination string) *queue.Queue {
	t.Helper()
	q, err := queue.Open(path, destination, queue.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if q.Ping() != nil { // closed by the test
			return
		}
		if err := queue.Invariants(q); err != nil {
			t.Error(err)
		}
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	})
	return q
}

// version is the n-th version of a file.
func version(n, size int64) codestory.Version {
	return codestory.Version{Size: size, ModTime: n, ChangeTime: n, Inode: 1}
}

// change is the n-th version of a file of the size.
func change(path codestory.Path, n, size int64) queue.Change {
	return queue.Change{Path: string(path), Version: version(n, size)}
}

func enqueue(t *testing.T, q *queue.Queue, changes ...queue.Change) {
	t.Helper()
	if err := q.Enqueue(changes); err != nil {
		t.Fatal(err)
	}
}

// next claims what waits.
func next(t *testing.T, q *queue.Queue) *queue.Claim {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c, err := q.Next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// nothingWaits fails the test where there is something to claim.
func nothingWaits(t *testing.T, q *queue.Queue) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if c, err := q.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("Next gave %+v, %v where nothing should wait", c, err)
	}
}

func file(t *testing.T, q *queue.Queue, path codestory.Path) queue.File {
	t.Helper()
	f, err := q.File(path)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func stats(t *testing.T, q *queue.Queue) queue.Stats {
	t.Helper()
	s, err := q.Stats()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// must fails the test for an error that no test expects.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// put is what the store has after it took the n-th version.
func put(n, size int64) queue.Stored {
	return queue.Stored{Size: size, ETag: "etag" + string(rune('0'+n)), MD5: "0123456789abcdef0123456789abcdef"}
}
