package queue_test

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/queue"
)

// TestRebuildUnderUse: whoever claims while a database is replaced gets in the end what there is to claim, or nothing, and
// stands in nobody's way.
func TestRebuildUnderUse(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it writes many thousand records")
	}
	t.Parallel()
	path := filepath.Join(t.TempDir(), "codestoryd.db")
	q, err := queue.Open(path, "a", queue.Options{Rebuild: true})
	must(t, err)
	enqueue(t, q, change(chapter, 1, 10))
	var users sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		users.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				_, _ = q.File(chapter)
				if removals, err := q.Removals("", 1); err == nil {
					for _, r := range removals {
						r.Release()
					}
				}
			}
		})
	}
	rebuilt := make(chan error, 1)
	go func() {
		for range 20 {
			err := os.Remove(path)
			_, _ = q.Touched()
			if err == nil {
				err = q.Rebuild()
			}
			if err != nil {
				rebuilt <- err
				return
			}
		}
		rebuilt <- nil
	}()
	select {
	case err := <-rebuilt:
		must(t, err)
	case <-time.After(20 * time.Second):
		t.Fatal("a rebuild and those who use the queue wait for each other")
	}
	close(stop)
	users.Wait()
	must(t, queue.Invariants(q))
	must(t, q.Close())
}

// TestEmptiedInUse: a database that somebody empties, as one does who copies another over it, keeps nobody waiting.
func TestEmptiedInUse(t *testing.T) {
	t.Parallel()
	path := asked(t)
	q, err := queue.Open(path, "a", queue.Options{Rebuild: true})
	must(t, err)
	must(t, os.Truncate(path, 0))
	rebuilt := make(chan error, 1)
	go func() {
		for range 3 {
			if err := q.Ping(); !errors.Is(err, queue.ErrDamaged) {
				rebuilt <- errors.Join(errors.New("it was not noticed"), err)
				return
			}
		}
		rebuilt <- q.Rebuild()
	}()
	select {
	case err := <-rebuilt:
		must(t, err)
	case <-time.After(20 * time.Second):
		t.Fatal("who looks at it waits for ever")
	}
	stillAsked(t, q)
	must(t, q.Close())
}

// TestRebuildForgets: what was read of the lost database is not taken for what the new one holds.
func TestRebuildForgets(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "codestoryd.db")
	q := openAt(t, path, "a")
	m := change(codestory.MetadataPath(storyA), 1, 10)
	m.Metadata = &codestory.Metadata{Owner: codestory.OwnedBy("ann")}
	enqueue(t, q, m)
	file(t, q, codestory.MetadataPath(storyA))
	_, err := q.Owner(storyA)
	must(t, err)
	must(t, os.Remove(path))
	_, _ = q.Touched()
	must(t, q.Rebuild())
	if f, err := q.File(codestory.MetadataPath(storyA)); !errors.Is(err, codestory.ErrNotFound) {
		t.Errorf("the file is %+v, %v", f, err)
	}
	if owner, err := q.Owner(storyA); !errors.Is(err, codestory.ErrNotFound) {
		t.Errorf("the owner is %+v, %v", owner, err)
	}
}
