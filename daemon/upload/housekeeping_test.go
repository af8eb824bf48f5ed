package upload

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/queue"
)

// A file that is deleted while it is uploaded, or renamed because its name was refused, is forgotten in time.
func TestFilesThatAreGoneAreSwept(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newEnv(t, &scripted{}, Options{})
		deleted := codestory.ChapterPath(kilo, 1)
		refused := codestory.Path(string(kilo) + "/bad.mp3")
		name := filepath.Join(w.tree.Dir(), string(deleted))
		w.store.put = func(context.Context, string) error { return os.Remove(name) }
		w.write(deleted, "one")
		w.upload(time.Second)
		version, err := w.tree.Stat(deleted)
		if !errors.Is(err, codestory.ErrNotFound) {
			t.Fatalf("%+v, %v", version, err)
		}
		change := queue.Change{Path: string(refused), Version: codestory.Version{Size: 1}, Fault: "rename it"}
		if err := w.queue.Enqueue([]queue.Change{change}); err != nil {
			t.Fatal(err)
		}
		w.upload(2 * sweepEvery)
		for _, path := range []codestory.Path{deleted, refused} {
			if f, err := w.queue.File(path); !errors.Is(err, codestory.ErrNotFound) {
				t.Errorf("%s is still known: %+v, %v", path, f, err)
			}
		}
	})
}

// However many files rest in the queue and are there, one that is gone is forgotten in time.
func TestFilesThatAreGoneAreSweptAmongMany(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newEnv(t, &scripted{}, Options{})
		first, gone := codestory.ChapterPath(kilo, 1), codestory.Path(string(kilo)+"/z.mp3")
		w.write(first, "one")
		changes := []queue.Change{{Path: string(gone), Fault: "rename it"}}
		for n := range sweepBatch + 1 {
			path := codestory.Path(fmt.Sprintf("%s/%d.mp3", kilo, n))
			if err := os.Link(filepath.Join(w.tree.Dir(), string(first)), filepath.Join(w.tree.Dir(), string(path))); err != nil {
				t.Fatal(err)
			}
			changes = append(changes, queue.Change{Path: string(path), Fault: "rename it"})
		}
		if err := w.queue.Enqueue(changes); err != nil {
			t.Fatal(err)
		}
		w.upload(3 * sweepEvery)
		if f, err := w.queue.File(gone); !errors.Is(err, codestory.ErrNotFound) {
			t.Errorf("it is still known: %+v, %v", f, err)
		}
		if stats, err := w.queue.Stats(); err != nil || stats.Blocked != sweepBatch+1 {
			t.Errorf("%d files are blocked, %v", stats.Blocked, err)
		}
	})
}

// What was begun of a version that is superseded is aborted, and nothing else.
func TestAbandonedUploadIsAborted(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := &parts{scripted: &scripted{put: func(context.Context, string) error { return errors.New("500") }}}
		w := newEnv(t, store.scripted, Options{})
		w.Pipeline.store, w.breaker.store = store, store
		path := codestory.ChapterPath(kilo, 1)
		w.write(path, "one")
		w.upload(quickDelays.First / 20) // one attempt
		store.put = nil
		w.write(path, "the second")
		w.upload(5 * sweepEvery)
		id := path.Key() + " id of "
		if want := []string{id, id}; !slices.Equal(store.aborted, want) {
			t.Errorf("aborted %q, want %q", store.aborted, want)
		}
		if left, err := w.queue.Abandoned(1); err != nil || len(left) != 0 {
			t.Errorf("the ledger still has %v, %v", left, err)
		}
		if got := w.state(path); got != codestory.Synced {
			t.Errorf("the file is %s", got)
		}
	})
}

// One abandoned upload that the store does not abort holds up no other, and is asked for once in a sweep.
func TestRefusedAbortIsNoHostage(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := &parts{scripted: &scripted{put: func(context.Context, string) error { return errors.New("500") }}}
		w := newEnv(t, store.scripted, Options{})
		w.Pipeline.store, w.breaker.store = store, store
		paths := chapters(w, 2)
		w.upload(quickDelays.First / 20) // one attempt at each
		store.put = nil
		for _, path := range paths {
			w.write(path, "the second")
		}
		refused := 0
		store.abort = func(key string) error {
			if key != paths[0].Key() {
				return nil
			}
			refused++
			return errors.New("403")
		}
		w.upload(5 * sweepEvery)
		if n := len(store.aborted); n != 2 || refused > 7 {
			t.Errorf("%d aborts of the other, and %d refused", n, refused)
		}
		if left, err := w.queue.Abandoned(10); err != nil || len(left) != 1 {
			t.Errorf("the ledger still has %v, %v", left, err)
		}
	})
}
