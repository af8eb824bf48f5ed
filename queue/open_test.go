package queue_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/queue"
	"github.com/codestory/codestoryd/queue/queuetest"
)

// newFile makes a database with a little in it, closed, and returns its path and bytes.
func newFile(t *testing.T) (path string, content []byte) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "codestoryd.db")
	q := openAt(t, path, "a")
	enqueue(t, q, change(chapter, 1, 10), change(codestory.StoryAudioPath(storyA), 1, 20))
	must(t, next(t, q).Done(put(1, 10)))
	must(t, q.Close())
	return path, read(t, path)
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	return b
}

// refused opens the database in both ways, which have to fail and to leave its bytes as they are.
func refused(t *testing.T, path string) (errs []error) {
	t.Helper()
	before := read(t, path)
	for _, readOnly := range []bool{false, true} {
		q, err := queue.Open(path, "a", queue.Options{ReadOnly: readOnly, Timeout: 100 * time.Millisecond})
		if err == nil {
			_ = q.Close()
			t.Fatalf("it was opened, read-only %t", readOnly)
		}
		if !bytes.Equal(read(t, path), before) {
			t.Errorf("refused, and yet changed, read-only %t", readOnly)
		}
		errs = append(errs, err)
	}
	return errs
}

func TestOpenLocked(t *testing.T) {
	t.Parallel()
	path, _ := newFile(t)
	pid, release := queuetest.Hold(t, path)
	for _, err := range refused(t, path) {
		if !errors.Is(err, queue.ErrLocked) || !strings.Contains(err.Error(), path) {
			t.Errorf("the error is %v", err)
		}
		if runtime.GOOS == "linux" && !strings.Contains(err.Error(), "process "+strconv.Itoa(pid)+" (") {
			t.Errorf("the error %q does not name process %d", err, pid)
		}
	}
	opened := make(chan error)
	go func() {
		q, err := queue.Open(path, "a", queue.Options{Timeout: time.Minute})
		if err == nil {
			err = q.Close()
		}
		opened <- err
	}()
	release()
	if err := <-opened; err != nil {
		t.Errorf("after the other process let go: %v", err)
	}
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
		"Done":    c.Done(put(1, 20)),
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

func TestOpenReadOnlyMakesNothing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "codestoryd.db")
	if _, err := queue.Open(path, "a", queue.Options{ReadOnly: true}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the error is %v", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it was made: %v", err)
	}
	must(t, os.WriteFile(path, nil, 0o600))
	if _, err := queue.Open(path, "a", queue.Options{ReadOnly: true}); err == nil {
		t.Error("an empty file was opened read-only")
	}
	if got := read(t, path); len(got) != 0 {
		t.Errorf("the empty file has %d bytes", len(got))
	}
}

// TestOpenEmptyFile: what a crash leaves that comes between the making of the file and its first bytes.
func TestOpenEmptyFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "codestoryd.db")
	must(t, os.WriteFile(path, nil, 0o600))
	enqueue(t, openAt(t, path, "a"), change(chapter, 1, 10))
}

// edit changes the database behind the queue's back.
func edit(t *testing.T, path string, fn func(*bolt.Tx) error) {
	t.Helper()
	db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: time.Second})
	must(t, err)
	must(t, db.Update(fn))
	must(t, db.Close())
}

// newer is a database that a newer program wrote, which need not have the same buckets.
func newer(t *testing.T) (path string) {
	t.Helper()
	path, _ = newFile(t)
	edit(t, path, func(tx *bolt.Tx) error {
		return errors.Join(tx.Bucket([]byte("meta")).Put([]byte("schema"), []byte("99")), tx.DeleteBucket([]byte("age")))
	})
	return path
}

// TestOpenOther: a database of another schema, and one that is not the queue's, are refused as what they are.
func TestOpenOther(t *testing.T) {
	t.Parallel()
	t.Run("schema", func(t *testing.T) {
		t.Parallel()
		for _, err := range refused(t, newer(t)) {
			if errors.Is(err, queue.ErrDamaged) || !strings.Contains(err.Error(), `schema 99`) {
				t.Errorf("the error is %v", err)
			}
		}
	})
	t.Run("another program's", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "codestoryd.db")
		edit(t, path, func(tx *bolt.Tx) error {
			_, err := tx.CreateBucket([]byte("photos"))
			return err
		})
		for _, err := range refused(t, path) {
			if !errors.Is(err, queue.ErrDamaged) {
				t.Errorf("the error is %v", err)
			}
		}
	})
	t.Run("without one bucket", func(t *testing.T) {
		t.Parallel()
		path, _ := newFile(t)
		edit(t, path, func(tx *bolt.Tx) error { return tx.DeleteBucket([]byte("stories")) })
		for _, err := range refused(t, path) {
			if !errors.Is(err, queue.ErrDamaged) {
				t.Errorf("the error is %v", err)
			}
		}
	})
	t.Run("a directory", func(t *testing.T) {
		t.Parallel()
		if _, err := queue.Open(t.TempDir(), "a", queue.Options{}); err == nil || errors.Is(err, queue.ErrDamaged) {
			t.Errorf("the error is %v", err)
		}
	})
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
		"Known": knownErr, "Enqueue": q.Enqueue([]queue.Change{change(chapter, 2, 10)}), "Done": c.Done(put(1, 10)),
	} {
		if err == nil {
			t.Errorf("%s gave no error", name)
		}
	}
	if err := q.Close(); err != nil {
		t.Errorf("closed again: %v", err)
	}
}
