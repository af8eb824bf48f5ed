package queue_test

import (
	"path/filepath"
	"testing"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/queue"
)

// TestStoredElsewhere: a file that was moved is known by what a move leaves alone, for as long as its object is the one
// that the store has.
func TestStoredElsewhere(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "codestoryd.db")
	q := openAt(t, path, "a")
	old, moved := codestory.ChapterPath(storyA, 1), codestory.ChapterPath(storyB, 1)
	enqueue(t, q, change(old, 1, 10), change(codestory.ChapterPath(storyA, 2), 2, 10))
	must(t, next(t, q).Finish(queue.Outcome{Kind: queue.Done, Object: put(1, 10)}))
	must(t, next(t, q).Finish(queue.Outcome{Kind: queue.Done, Object: put(2, 10)}))

	elsewhere := func(v codestory.Version) []queue.StoredFile {
		t.Helper()
		enqueue(t, q, queue.Change{Path: string(moved), Version: v})
		c := next(t, q)
		defer c.Release()
		found, err := c.StoredElsewhere(10)
		must(t, err)
		return found
	}
	same := version(1, 10)
	same.ChangeTime = 99
	if found := elsewhere(same); len(found) != 1 || found[0] != (queue.StoredFile{Path: old, Stored: put(1, 10)}) {
		t.Errorf("a file that was moved is stored at %+v", found)
	}
	for name, differs := range map[string]func(*codestory.Version){
		"inode": func(v *codestory.Version) { v.Inode++ }, "size": func(v *codestory.Version) { v.Size++ },
		"modification time": func(v *codestory.Version) { v.ModTime = 7 },
	} {
		v := same
		differs(&v)
		if found := elsewhere(v); len(found) != 0 {
			t.Errorf("with another %s it is stored at %+v", name, found)
		}
	}

	must(t, q.Close())
	q = openAt(t, path, "another store")
	if found := elsewhere(same); len(found) != 0 {
		t.Errorf("in another store it is at %+v", found)
	}
	must(t, q.Close())
	q = openAt(t, path, "a")
	enqueue(t, q, change(old, 5, 10)) // rewritten where it was
	c := next(t, q)
	for ; c.Path != old; c = next(t, q) {
	}
	must(t, c.Finish(queue.Outcome{Kind: queue.Done, Object: put(5, 10)}))
	must(t, q.Close())
	q = openAt(t, path, "a")
	if found := elsewhere(same); len(found) != 0 {
		t.Errorf("after the object was replaced it is stored at %+v", found)
	}
}
