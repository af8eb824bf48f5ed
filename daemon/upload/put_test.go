package upload

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/remote"
)

// What the store has already is not sent to it again when its endpoint gets another name; what it has not, is.
func TestNewNameOfAStore(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newEnv(t, &scripted{}, Options{})
		paths := chapters(w, 20)
		w.upload(time.Minute)
		lost, other, changed := paths[0], paths[1], paths[2]
		w.store.Unset(lost.Key())
		w.store.Set(other.Key(), "other bytes")
		if err := w.queue.Use("memory\tby another name\t"); err != nil {
			t.Fatal(err)
		}
		for _, path := range paths { // as the scan does
			w.settle(path)
		}
		w.write(changed, "another version")
		before := len(w.store.puts())
		w.upload(time.Minute)
		if n := len(w.store.puts()) - before; n != 3 {
			t.Errorf("%d uploads, want those of what is lost, other and changed", n)
		}
		for i, path := range paths {
			want, err := os.ReadFile(filepath.Join(w.tree.Dir(), string(path)))
			if err != nil {
				t.Fatal(err)
			}
			if got, _ := w.store.Content(path.Key()); got != string(want) || w.state(path) != codestory.Synced {
				t.Errorf("file %d is %s, and the store has %q of it", i, w.state(path), got)
			}
		}
	})
}

// TestKilledBeforeItWasWrittenDown: a version that the store took, and of which nobody heard any more, is replaced by the
// one that follows, though that has the bytes of the last one that is known to be there.
func TestKilledBeforeItWasWrittenDown(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newEnv(t, &scripted{}, Options{})
		path := chapters(w, 1)[0]
		w.write(path, "one")
		w.upload(time.Minute)
		w.write(path, "two")
		w.store.Set(path.Key(), "two") // and the daemon is killed
		w.write(path, "one")
		w.upload(time.Minute)
		if got, _ := w.store.Content(path.Key()); got != "one" || w.state(path) != codestory.Synced {
			t.Errorf("the file is %s, and the store has %q of it", w.state(path), got)
		}
	})
}

// copying is a store that copies within itself.
type copying struct {
	*scripted
	fault error // of Copy
}

func (s *copying) Copy(_ context.Context, from remote.Object, to string) (remote.Object, error) {
	if s.fault != nil {
		return remote.Object{}, s.fault
	}
	content, ok := s.Content(from.Key)
	if object := describeBytes(from.Key, []byte(content)); !ok || object.ETag != from.ETag {
		return remote.Object{}, fmt.Errorf("%s: %w", from.Key, remote.ErrReplaced)
	}
	s.Set(to, content)
	return describeBytes(to, []byte(content)), nil
}

func newCopying(t *testing.T) (*env, *copying) {
	store := &copying{scripted: &scripted{}}
	w := newEnv(t, store.scripted, Options{})
	w.Pipeline.store, w.breaker.store = store, store
	return w, store
}

// move renames a story's folder and, as a scan does, hands on what is in it.
func (w *env) move(from, to codestory.StoryID, files ...codestory.Path) {
	w.t.Helper()
	dir := w.tree.Dir()
	if err := os.Rename(filepath.Join(dir, string(from)), filepath.Join(dir, string(to))); err != nil {
		w.t.Fatal(err)
	}
	for _, path := range files {
		w.settle(path)
	}
}

// TestMovedStory: a story whose folder was renamed is copied within the store, and no byte of it sent again.
func TestMovedStory(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w, store := newCopying(t)
		old := chapters(w, 3)
		w.upload(time.Second)
		var moved []codestory.Path
		for n := range old {
			moved = append(moved, codestory.ChapterPath(router, n+1))
		}
		w.move(kilo, router, moved...)
		w.upload(time.Second)
		if n := len(store.puts()); n != len(old) {
			t.Errorf("%d uploads of %d files", n, len(old))
		}
		for i, path := range moved {
			want, _ := store.Content(old[i].Key())
			if got, _ := store.Content(path.Key()); got != want || w.state(path) != codestory.Synced {
				t.Errorf("%s is %s and has %q in the store, want %q", path, w.state(path), got, want)
			}
		}
	})
}

// What is not the same, or cannot be copied, is sent.
func TestMovedAndChanged(t *testing.T) {
	for name, change := range map[string]func(w *env, store *copying, old, moved codestory.Path){
		"other bytes, same times": func(w *env, _ *copying, _, moved codestory.Path) {
			file := filepath.Join(w.tree.Dir(), string(moved))
			info, err := os.Stat(file)
			if err == nil {
				err = errors.Join(os.WriteFile(file, []byte("CHAPTER 1"), 0o666), os.Chtimes(file, info.ModTime(), info.ModTime()))
			}
			if err != nil {
				w.t.Fatal(err)
			}
		},
		"object replaced": func(_ *env, store *copying, old, _ codestory.Path) { store.Set(old.Key(), "another's") },
		"store refuses":   func(_ *env, store *copying, _, _ codestory.Path) { store.fault = errors.ErrUnsupported },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w, store := newCopying(t)
				old := chapters(w, 1)[0]
				w.upload(time.Second)
				moved := codestory.ChapterPath(router, 1)
				w.move(kilo, router)
				change(w, store, old, moved)
				w.settle(moved)
				w.upload(time.Second)
				want, err := os.ReadFile(filepath.Join(w.tree.Dir(), string(moved)))
				if err != nil {
					t.Fatal(err)
				}
				if got, _ := store.Content(moved.Key()); got != string(want) || w.state(moved) != codestory.Synced {
					t.Errorf("it is %s and has %q in the store, want %q", w.state(moved), got, want)
				}
				if n := len(store.puts()); n != 2 {
					t.Errorf("%d uploads, want two", n)
				}
			})
		})
	}
}
