package queue_test

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/queue"
)

// large is a database that was made large, and of which little is left.
func large(t *testing.T) (path string) {
	t.Helper()
	path, _ = newFile(t)
	backlog := []byte("backlog")
	edit(t, path, func(tx *bolt.Tx) error {
		b, err := tx.CreateBucket(backlog)
		for n := range 200 {
			err = errors.Join(err, b.Put(fmt.Append(nil, n), make([]byte, 100_000)))
		}
		return err
	})
	edit(t, path, func(tx *bolt.Tx) error { return tx.DeleteBucket(backlog) })
	return path
}

// TestCompact: what is free is given back, and all that is in the database is there as before, for readers meanwhile too.
func TestCompact(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("an open file cannot be replaced")
	}
	path := large(t)
	q := openAt(t, path, "a")
	c := next(t, q)
	before, err := os.Stat(path)
	must(t, err)
	want := stats(t, q)
	saved, err := q.Compact()
	must(t, err)
	after, err := os.Stat(path)
	must(t, err)
	if saved != before.Size()-after.Size() || 2*after.Size() > before.Size() {
		t.Errorf("of %d bytes %d are left, %d saved", before.Size(), after.Size(), saved)
	}
	if got := stats(t, q); got != want {
		t.Errorf("stats are %+v, and were %+v", got, want)
	}
	must(t, c.Done(put(1, 10)))
	if f := file(t, q, c.Path); f.State != codestory.Synced {
		t.Errorf("a claim from before is %s", f.State)
	}
	if _, err := queue.Open(path, "a", queue.Options{Timeout: time.Millisecond}); !errors.Is(err, queue.ErrLocked) {
		t.Errorf("the new file can be opened by others: %v", err)
	}
	if saved, err := q.Compact(); saved != 0 || err != nil {
		t.Errorf("once more: %d, %v", saved, err)
	}
}
