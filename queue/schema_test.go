package queue_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/queue"
)

// older is a copy of a database that an older program wrote; its time for another attempt is long past.
func older(t *testing.T, name string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "codestoryd.db")
	must(t, os.WriteFile(path, read(t, filepath.Join("testdata", name)), 0o600))
	return path
}

// TestMigrate: a database of schema 1 is read as it is, keeps what it has when it is opened to write, and takes what came
// later.
func TestMigrate(t *testing.T) {
	t.Parallel()
	path := older(t, "schema1.db")
	before := read(t, path)
	reader, err := queue.Open(path, "", queue.Options{ReadOnly: true})
	must(t, err)
	want, err := answers(reader)
	must(t, err)
	s := stats(t, reader)
	if s.Queued != 6 || s.Retrying != 2 || s.Blocked != 3 || s.SyncedFiles != 8 || !s.Paused {
		t.Errorf("it has %+v", s)
	}
	must(t, reader.Close())
	if !bytes.Equal(read(t, path), before) {
		t.Error("a look has changed it")
	}

	q := openAt(t, path, "a")
	got, err := answers(q)
	must(t, err)
	if got != want {
		t.Errorf("the answers are others:\n%s", firstDifference(got, want))
	}
	must(t, q.SetPaused(false))
	upload := codestory.ChapterPath(storyN(1), 5)
	for c := next(t, q); ; c = next(t, q) {
		if c.Path == upload {
			if state := string(c.State()); state != `{"v":1,"id":"an upload of schema 1"}` {
				t.Errorf("of the upload in parts there is %q", state)
			}
			break
		}
	}
	if q.Rebuilt() != nil {
		t.Errorf("it counts as rebuilt: %+v", q.Rebuilt())
	}
}

// TestMigrateRemovals: and one of schema 2, with what is to be deleted from the store.
func TestMigrateRemovals(t *testing.T) {
	t.Parallel()
	q := openAt(t, older(t, "schema2.db"), "a")
	removals, err := q.Removals("", 10)
	must(t, err)
	var paths []string
	for _, r := range removals {
		paths = append(paths, string(r.Path))
		must(t, r.Done())
	}
	want := []string{string(codestory.ChapterPath(storyN(0), 1)), string(codestory.MetadataPath(storyN(0)))}
	if !slices.Equal(paths, want) {
		t.Errorf("to be deleted are %q, want %q", paths, want)
	}
	if signed, err := q.FormSigned(codestory.StoryAudioPath(storyN(2))); err != nil || !signed {
		t.Errorf("the form is forgotten: %v", err)
	}
}

// TestMigrateKilled: a migration that is cut off after each of its transactions goes on where it was.
func TestMigrateKilled(t *testing.T) {
	t.Parallel()
	whole := older(t, "schema1.db")
	q := openAt(t, whole, "a")
	want, err := answers(q)
	must(t, err)
	must(t, q.Close())
	for n := 1; ; n++ {
		path := older(t, "schema1.db")
		done, err := queue.MigrateSome(path, n)
		must(t, err)
		reader, err := queue.Open(path, "", queue.Options{ReadOnly: true, Timeout: time.Second})
		must(t, err)
		got, err := answers(reader)
		must(t, err)
		must(t, reader.Close())
		if got != want {
			t.Errorf("after %d transactions the answers are others:\n%s", n, firstDifference(got, want))
		}
		if got, err = answers(openAt(t, path, "a")); err != nil || got != want {
			t.Errorf("taken up after %d transactions, %v:\n%s", n, err, firstDifference(got, want))
		}
		if done {
			return
		}
	}
}
