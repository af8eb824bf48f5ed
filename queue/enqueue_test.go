package queue_test

import (
	"maps"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/queue"
)

// TestCoalesce: a path that is rewritten many times is one item, of its last version.
func TestCoalesce(t *testing.T) {
	t.Parallel()
	q := open(t)
	for n := range int64(50) {
		enqueue(t, q, change(chapter, n, 100+n), change(chapter, n, 100+n))
	}
	if s := stats(t, q); s.Queued != 1 || s.Bytes != 149 {
		t.Errorf("stats are %+v", s)
	}
	if c := next(t, q); c.Version != version(49, 149) {
		t.Errorf("claimed %+v", c)
	}
	nothingWaits(t, q)
}

// TestKnown: a version is known while it waits, is blocked or is stored in this destination, and no longer.
func TestKnown(t *testing.T) {
	t.Parallel()
	db := filepath.Join(t.TempDir(), "codestoryd.db")
	q := openAt(t, db, "a")
	paths := map[string]codestory.Path{}
	for i, name := range []string{"queued", "claimed", "retrying", "blocked", "settling", "synced", "replaced", "unseen"} {
		paths[name] = codestory.ChapterPath(storyA, i+1)
	}
	settle := func(name string, outcome func(*queue.Claim) error) {
		enqueue(t, q, change(paths[name], 1, 10))
		c := next(t, q)
		if c.Path != paths[name] {
			t.Fatalf("claimed %s, want %s", c.Path, paths[name])
		}
		must(t, outcome(c))
	}
	settle("retrying", func(c *queue.Claim) error {
		return c.Finish(queue.Outcome{Kind: queue.Retry, Due: time.Now().Add(time.Hour), Reason: "no answer"})
	})
	settle("blocked", func(c *queue.Claim) error { return c.Finish(queue.Outcome{Kind: queue.Block, Reason: "too large"}) })
	settle("settling", func(c *queue.Claim) error { return c.Finish(queue.Outcome{Kind: queue.Changed}) })
	settle("synced", func(c *queue.Claim) error { return c.Finish(queue.Outcome{Kind: queue.Done, Object: put(1, 10)}) })
	settle("replaced", func(c *queue.Claim) error { return c.Finish(queue.Outcome{Kind: queue.Done, Object: put(1, 10)}) })
	enqueue(t, q, change(paths["replaced"], 2, 20))
	next(t, q).Release()
	enqueue(t, q, change(paths["queued"], 1, 10), change(paths["claimed"], 1, 10))

	check := func(t *testing.T, q *queue.Queue, want []string) {
		t.Helper()
		var all, got []string
		var versions []codestory.Version
		names := slices.Sorted(maps.Keys(paths))
		for _, name := range names {
			all = append(all, string(paths[name]))
			versions = append(versions, version(1, 10))
		}
		known, err := q.Known(all, versions)
		must(t, err)
		for i, name := range names {
			if known[i] {
				got = append(got, name)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("known are %q, want %q", got, want)
		}
	}
	check(t, q, []string{"blocked", "claimed", "queued", "retrying", "synced"})
	// Each part of a version tells it from another.
	for _, v := range []codestory.Version{
		{Size: 11, ModTime: 1, ChangeTime: 1, Inode: 1}, {Size: 10, ModTime: 2, ChangeTime: 1, Inode: 1},
		{Size: 10, ModTime: 1, ChangeTime: 2, Inode: 1}, {Size: 10, ModTime: 1, ChangeTime: 1, Inode: 2},
	} {
		if known, err := q.Known([]string{string(paths["synced"])}, []codestory.Version{v}); err != nil || known[0] {
			t.Errorf("%+v is known: %v, %v", v, known, err)
		}
	}
	must(t, q.Close())
	check(t, openAt(t, db, "b"), []string{"blocked", "claimed", "queued", "retrying"})
}

// TestKnownVersionIsLeftAlone: enqueuing a known version changes nothing, not even the place of what waits.
func TestKnownVersionIsLeftAlone(t *testing.T) {
	t.Parallel()
	q := open(t)
	enqueue(t, q, change(chapter, 1, 10))
	due := time.Now().Add(time.Hour)
	must(t, next(t, q).Finish(queue.Outcome{Kind: queue.Retry, Due: due, Reason: "no answer"}))
	enqueue(t, q, change(chapter, 1, 10))
	if f := file(t, q, chapter); f.State != codestory.Retrying || f.Attempt != 1 || !f.Due.Equal(due) {
		t.Errorf("it is %+v", f)
	}
	nothingWaits(t, q)
}

// TestFault: a file that cannot be stored under its name is listed as blocked, with the reason, and never claimed.
func TestFault(t *testing.T) {
	t.Parallel()
	q := open(t)
	bad := string(storyA) + "/bad\xff.mp3"
	c := queue.Change{Path: bad, Version: version(1, 10), Fault: "rename it"}
	enqueue(t, q, c, queue.Change{Path: "no story/\xff", Version: version(1, 1), Fault: "rename it too"})
	nothingWaits(t, q)
	files, err := q.Files(storyA)
	if err != nil || len(files) != 1 || files[0].Path != bad || files[0].State != codestory.Blocked || files[0].Reason != "rename it" {
		t.Errorf("its story has %+v, %v", files, err)
	}
	if s := stats(t, q); s.Blocked != 2 || s.Bytes != 11 || !s.Oldest.IsZero() {
		t.Errorf("stats are %+v", s)
	}
	c.Fault, c.Version = "still bad", version(2, 10)
	enqueue(t, q, c)
	if f := file(t, q, codestory.Path(bad)); f.State != codestory.Blocked || f.Reason != "still bad" {
		t.Errorf("it is %+v", f)
	}
	c.Fault, c.Version = "", version(3, 10)
	enqueue(t, q, c)
	if got := next(t, q); string(got.Path) != bad || got.Attempt != 1 {
		t.Errorf("claimed %+v", got)
	}
}

// TestNote: what is odd about a version is told until there is another, also after it is stored.
func TestNote(t *testing.T) {
	t.Parallel()
	q := open(t)
	c := change(chapter, 1, 10)
	c.Note = "does not parse"
	enqueue(t, q, c)
	if f := file(t, q, chapter); f.Reason != c.Note || f.State != codestory.Queued {
		t.Errorf("queued it is %+v", f)
	}
	must(t, next(t, q).Finish(queue.Outcome{Kind: queue.Retry, Due: time.Now(), Reason: "no answer"}))
	if f := file(t, q, chapter); f.Reason != "no answer" {
		t.Errorf("retrying it is %+v", f)
	}
	must(t, next(t, q).Finish(queue.Outcome{Kind: queue.Done, Object: put(1, 10)}))
	if f := file(t, q, chapter); f.Reason != c.Note || f.State != codestory.Synced {
		t.Errorf("synced it is %+v", f)
	}
	enqueue(t, q, change(chapter, 2, 10))
	if f := file(t, q, chapter); f.Reason != "" {
		t.Errorf("with a new version it is %+v", f)
	}
}

func TestFound(t *testing.T) {
	t.Parallel()
	q := open(t)
	metadata := codestory.MetadataPath(storyA)
	must(t, q.Found(metadata, put(1, 10), &codestory.Metadata{Title: "one", Owner: codestory.OwnedBy("ann")}))
	f := file(t, q, metadata)
	if f.State != codestory.Synced || f.Version != (codestory.Version{}) || f.Size() != 10 || *f.Stored != put(1, 10) {
		t.Errorf("it is %+v", f)
	}
	if s, err := q.Story(storyA); err != nil || !s.Owner.Is("ann") {
		t.Errorf("its story is %+v, %v", s, err)
	}
	if s := stats(t, q); s != (queue.Stats{SyncedFiles: 1, SyncedBytes: 10}) {
		t.Errorf("stats are %+v", s)
	}
	nothingWaits(t, q)

	must(t, q.Found(metadata, put(2, 20), &codestory.Metadata{Title: "two"}))
	if f := file(t, q, metadata); *f.Stored != put(1, 10) {
		t.Errorf("found again, it is %+v", f)
	}
	enqueue(t, q, change(chapter, 1, 30))
	must(t, q.Found(chapter, put(2, 20), nil))
	if f := file(t, q, chapter); f.State != codestory.Queued || f.Stored != nil {
		t.Errorf("found while it waits, it is %+v", f)
	}
	if s, err := q.Story(storyA); err != nil || s.Metadata.Title != "one" {
		t.Errorf("its story is %+v, %v", s, err)
	}
	// The file that turns up here is put over the object that was found.
	enqueue(t, q, change(metadata, 1, 40))
	if f := file(t, q, metadata); f.State != codestory.Queued || f.Size() != 40 || *f.Stored != put(1, 10) {
		t.Errorf("here at last, it is %+v", f)
	}
}

// TestDestination: what is stored elsewhere is not stored here, and is enqueued again by the next scan.
func TestDestination(t *testing.T) {
	t.Parallel()
	db := filepath.Join(t.TempDir(), "codestoryd.db")
	q := openAt(t, db, "a")
	other := codestory.ChapterPath(storyA, 2)
	enqueue(t, q, change(chapter, 1, 10), change(other, 1, 20))
	must(t, next(t, q).Finish(queue.Outcome{Kind: queue.Done, Object: put(1, 10)}))
	must(t, q.Close())

	q = openAt(t, db, "b")
	if f := file(t, q, chapter); f.State != codestory.Missing || f.Stored != nil {
		t.Errorf("elsewhere it is %+v", f)
	}
	if s := stats(t, q); s.SyncedFiles != 0 || s.Queued != 1 {
		t.Errorf("stats are %+v", s)
	}
	enqueue(t, q, change(chapter, 1, 10))
	if c := next(t, q); c.Path != chapter || c.Stored != nil {
		t.Errorf("claimed %+v", c)
	}
	must(t, q.Close())

	q = openAt(t, db, "a")
	c := next(t, q)
	if c.Path != chapter || c.Stored == nil || *c.Stored != put(1, 10) {
		t.Errorf("back again, claimed %+v", c)
	}
	must(t, c.Finish(queue.Outcome{Kind: queue.Done, Object: put(2, 10)}))
	if f := file(t, q, chapter); f.State != codestory.Synced || *f.Stored != put(2, 10) {
		t.Errorf("stored it is %+v", f)
	}
}

// TestReopen: what was claimed when the database was closed is waiting again, untouched; all else is as it was.
func TestReopen(t *testing.T) {
	t.Parallel()
	db := filepath.Join(t.TempDir(), "codestoryd.db")
	q := openAt(t, db, "a")
	other := codestory.ChapterPath(storyA, 2)
	enqueue(t, q, change(chapter, 1, 10), change(other, 1, 20))
	must(t, next(t, q).Finish(queue.Outcome{Kind: queue.Retry, Due: time.Now(), Reason: "no answer"}))
	before := file(t, q, chapter)
	if c := next(t, q); c.Path != chapter || c.Attempt != 2 {
		t.Fatalf("claimed %+v", c)
	}
	must(t, q.Close())
	q = openAt(t, db, "a")
	f := file(t, q, chapter)
	if f.State != codestory.Queued || f.Attempt != before.Attempt || f.Reason != before.Reason {
		t.Errorf("it is %+v, was %+v", f, before)
	}
	if c := next(t, q); c.Path != chapter || c.Attempt != 2 {
		t.Errorf("claimed %+v", c)
	}
}
