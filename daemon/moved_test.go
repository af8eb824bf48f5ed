package daemon

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

func newCopying(t *testing.T) (*world, *copying) {
	store := &copying{scripted: &scripted{}}
	w := newWorld(t, store.scripted, Options{})
	w.remote, w.gate.store = store, store
	return w, store
}

// move renames a story's folder and, as a scan does, hands on what is in it.
func (w *world) move(from, to codestory.StoryID, files ...codestory.Path) {
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
	for name, change := range map[string]func(w *world, store *copying, old, moved codestory.Path){
		"other bytes, same times": func(w *world, _ *copying, _, moved codestory.Path) {
			file := filepath.Join(w.tree.Dir(), string(moved))
			info, err := os.Stat(file)
			if err == nil {
				err = errors.Join(os.WriteFile(file, []byte("CHAPTER 1"), 0o666), os.Chtimes(file, info.ModTime(), info.ModTime()))
			}
			if err != nil {
				w.t.Fatal(err)
			}
		},
		"object replaced": func(_ *world, store *copying, old, _ codestory.Path) { store.Set(old.Key(), "another's") },
		"store refuses":   func(_ *world, store *copying, _, _ codestory.Path) { store.fault = errors.ErrUnsupported },
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
