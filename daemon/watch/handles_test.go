package watch

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/codestory/codestoryd"
)

// Handles are used only while they are of the directories that the names lead to.
func TestHandlesNoticeWhatTakesADirectorysPlace(t *testing.T) {
	t.Parallel()
	tree := openTree(t)
	story := filepath.Join(tree.Dir(), storyA)
	const path = codestory.Path(storyA + "/audio/story.mp3")
	mkdir(t, filepath.Join(story, "audio"))
	write(t, filepath.Join(story, "audio", "story.mp3"), "one")
	size := func() int64 {
		t.Helper()
		v, err := tree.Stat(path)
		if err != nil && !errors.Is(err, codestory.ErrNotFound) {
			t.Fatal(err)
		}
		return v.Size
	}
	if got := size(); got != 3 {
		t.Fatalf("%d bytes", got)
	}
	if err := os.Rename(filepath.Join(story, "audio"), filepath.Join(story, "old")); err != nil {
		t.Fatal(err)
	}
	if got := size(); got != 0 {
		t.Errorf("renamed away: %d bytes", got)
	}
	mkdir(t, filepath.Join(story, "audio"))
	write(t, filepath.Join(story, "audio", "story.mp3"), "another")
	if got := size(); got != 7 {
		t.Errorf("another directory: %d bytes", got)
	}
	if err := os.RemoveAll(filepath.Join(story, "audio")); err != nil {
		t.Fatal(err)
	}
	symlink(t, "old", filepath.Join(story, "audio"))
	if got := size(); got != 0 {
		t.Errorf("a symlink to where it was: %d bytes", got)
	}
}

// However many directories are looked into, by however many at the same time, few stay open.
func TestHandlesAreFew(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it writes for seconds")
	}
	t.Parallel()
	tree := openTree(t)
	const dirs = 3 * maxHandles
	for i := range dirs {
		mkdir(t, filepath.Join(tree.Dir(), storyA, fmt.Sprint(i)))
		write(t, filepath.Join(tree.Dir(), storyA, fmt.Sprint(i), "file"), "x")
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for i := range dirs {
				f, err := tree.Open(codestory.Path(fmt.Sprintf("%s/%d/file", storyA, i)))
				if err != nil {
					t.Error(err)
					continue
				}
				_ = f.Close()
			}
		})
	}
	all.Wait()
	tree.handles.mu.Lock()
	defer tree.handles.mu.Unlock()
	if len(tree.handles.dirs) > maxHandles {
		t.Errorf("%d directories are kept open", len(tree.handles.dirs))
	}
	for name, h := range tree.handles.dirs {
		if h.users != 0 {
			t.Errorf("%s is in use by %d", name, h.users)
		}
	}
}

// A moment after the last look nothing is open.
func TestHandlesAreLetGo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tree := openTree(t)
		mkdir(t, filepath.Join(tree.Dir(), storyA))
		write(t, filepath.Join(tree.Dir(), storyA, "file"), "x")
		open := func() int {
			tree.handles.mu.Lock()
			defer tree.handles.mu.Unlock()
			return len(tree.handles.dirs)
		}
		for range 10 {
			if _, err := tree.Stat(storyA + "/file"); err != nil {
				t.Fatal(err)
			}
			time.Sleep(keepOpen / 2)
			if n := open(); n != 2 {
				t.Errorf("%d directories are open while somebody looks", n)
			}
		}
		time.Sleep(2 * keepOpen)
		if n := open(); n != 0 {
			t.Errorf("%d directories are open still", n)
		}
	})
}
