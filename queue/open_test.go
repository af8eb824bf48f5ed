package queue_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/queue"
)

// newFile makes a database with a little in it, closed, and returns its path and bytes.
func newFile(t *testing.T) (path string, content []byte) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "codestoryd.db")
	q := openAt(t, path, "a")
	enqueue(t, q, change(chapter, 1, 10), change(codestory.StoryAudioPath(storyA), 1, 20))
	must(t, next(t, q).Finish(queue.Outcome{Kind: queue.Done, Object: put(1, 10)}))
	must(t, q.Close())
	return path, read(t, path)
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	return b
}

// TestOpenWritesNothing: to open a database that is as it should be writes nothing, so that it is as whole after a
// crash in it as before.
func TestOpenWritesNothing(t *testing.T) {
	t.Parallel()
	path, before := newFile(t)
	must(t, openAt(t, path, "a").Close())
	if !bytes.Equal(read(t, path), before) {
		t.Error("the file has changed")
	}
}

func TestOpenReadOnly(t *testing.T) {
	t.Parallel()
	path, before := newFile(t)
	q, err := queue.Open(path, "a", queue.Options{ReadOnly: true})
	must(t, err)
	other, err := queue.Open(path, "never seen", queue.Options{ReadOnly: true})
	must(t, err)
	if f := file(t, q, chapter); f.State != codestory.Synced || *f.Stored != put(1, 10) {
		t.Errorf("it is %+v", f)
	}
	want := queue.Stats{Queued: 1, Bytes: 20, SyncedFiles: 1, SyncedBytes: 10}
	if s := stats(t, q); s.Oldest.IsZero() || !reflect.DeepEqual(s, func() queue.Stats { w := want; w.Oldest = s.Oldest; return w }()) {
		t.Errorf("stats are %+v", s)
	}
	if f := file(t, other, chapter); f.State != codestory.Missing || f.Stored != nil {
		t.Errorf("for another destination it is %+v", f)
	}
	if s := stats(t, other); s.SyncedFiles != 0 || s.Queued != 1 {
		t.Errorf("for another destination stats are %+v", s)
	}
	if c := next(t, other); c.Stored != nil {
		t.Errorf("for another destination claimed %+v with %+v stored", c, c.Stored)
	}
	c := next(t, q)
	for name, err := range map[string]error{
		"Enqueue": q.Enqueue([]queue.Change{change(chapter, 2, 10)}),
		"Found":   q.Found(codestory.MetadataPath(storyA), put(1, 10), nil),
		"Done":    c.Finish(queue.Outcome{Kind: queue.Done, Object: put(1, 20)}),
	} {
		if err == nil {
			t.Errorf("%s gave no error", name)
		}
	}
	must(t, errors.Join(q.Close(), other.Close()))
	if !bytes.Equal(read(t, path), before) {
		t.Error("the file has changed")
	}
}

// TestClosed: a queue that was closed answers with errors.
func TestClosed(t *testing.T) {
	t.Parallel()
	path, _ := newFile(t)
	q := openAt(t, path, "a")
	c := next(t, q)
	must(t, q.Close())
	_, fileErr := q.File(chapter)
	_, filesErr := q.Files(storyA)
	_, statsErr := q.Stats()
	_, _, storiesErr := q.Stories(nil, 10, "")
	_, nextErr := q.Next(t.Context())
	_, knownErr := q.Known([]string{string(chapter)}, []codestory.Version{{}})
	for name, err := range map[string]error{
		"Ping": q.Ping(), "File": fileErr, "Files": filesErr, "Stats": statsErr, "Stories": storiesErr, "Next": nextErr,
		"Known": knownErr, "Enqueue": q.Enqueue([]queue.Change{change(chapter, 2, 10)}), "Done": c.Finish(queue.Outcome{Kind: queue.Done, Object: put(1, 10)}),
	} {
		if err == nil {
			t.Errorf("%s gave no error", name)
		}
	}
	if err := q.Close(); err != nil {
		t.Errorf("closed again: %v", err)
	}
}
