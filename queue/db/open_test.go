package db

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
)

// refused opens the database in the ways given, which has to fail and to leave its bytes as they are.
func refused(t *testing.T, path string, all ...Options) (errs []error) {
	t.Helper()
	before := read(t, path)
	for _, opts := range all {
		opts.Timeout = 100 * time.Millisecond
		db, err := Open(path, layout, opts)
		if err == nil {
			_ = db.Close()
			t.Fatalf("it was opened with %+v", opts)
		}
		if !bytes.Equal(read(t, path), before) {
			t.Errorf("it was refused, and yet changed, with %+v", opts)
		}
		errs = append(errs, err)
	}
	return errs
}

func TestOpenLocked(t *testing.T) {
	t.Parallel()
	path := newSample(t)
	release := hold(t, path)
	for _, err := range refused(t, path, Options{}, Options{ReadOnly: true}, checked(), Options{After: &damageError{}}) {
		if !errors.Is(err, ErrLocked) || errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), path) {
			t.Errorf("the error is %v", err)
		}
	}
	opened := make(chan error)
	go func() {
		db, err := Open(path, layout, Options{Timeout: time.Minute})
		if err == nil {
			err = db.Close()
		}
		opened <- err
	}()
	release()
	if err := <-opened; err != nil {
		t.Errorf("after the other process closed it: %v", err)
	}
}

// TestOpenLockedByOthers: a program that knows bbolt's lock alone keeps the database, whatever it looks like.
func TestOpenLockedByOthers(t *testing.T) {
	t.Parallel()
	path := newSample(t)
	other, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: time.Second})
	must(t, err)
	defer other.Close()
	for _, err := range refused(t, path, checked(), Options{}) {
		if !errors.Is(err, ErrLocked) {
			t.Errorf("the error is %v", err)
		}
	}
}

// TestOpenWritesNothing: opening a database that is whole writes nothing, so that it is as whole after a crash in it as
// before.
func TestOpenWritesNothing(t *testing.T) {
	t.Parallel()
	path := newSample(t)
	before := read(t, path)
	db := openAt(t, path, checked())
	if got := db.Opened(); got != (Opened{}) {
		t.Errorf("opened: %+v", got)
	}
	must(t, db.Close())
	if !bytes.Equal(read(t, path), before) {
		t.Error("the file has changed")
	}
}

func TestOpenReadOnlyMakesNothing(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	if _, err := Open(path, layout, Options{ReadOnly: true}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the error is %v", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it was made: %v", err)
	}
	must(t, os.WriteFile(path, nil, 0o600))
	refused(t, path, Options{ReadOnly: true})
	must(t, os.Remove(path))
	empty, err := bolt.Open(path, 0o600, nil)
	must(t, errors.Join(err, empty.Close()))
	if err := refused(t, path, Options{ReadOnly: true})[0]; !errors.Is(err, ErrEmpty) {
		t.Errorf("of one that was never written to: %v", err)
	}
}

// TestOpenUnwritten: a crash may come between the making of the file and what is written first. The first database was
// not lost by that.
func TestOpenUnwritten(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	if got := openAt(t, path, checked()).Opened(); got != (Opened{New: true}) {
		t.Errorf("the first: %+v", got)
	}
	path = newPath(t)
	must(t, os.WriteFile(path, nil, 0o600))
	if got := openAt(t, path, checked()).Opened(); got != (Opened{New: true}) {
		t.Errorf("an empty file: %+v", got)
	}
	path = newPath(t)
	empty, err := bolt.Open(path, 0o600, nil)
	must(t, errors.Join(err, empty.Close()))
	db := openAt(t, path, Options{})
	if got := db.Opened(); got != (Opened{New: true}) {
		t.Errorf("a file without buckets: %+v", got)
	}
	put(t, db, "k", "v")
}

// TestOpenOtherSchema: a database of a newer program is refused, with a check and without, and one of an older program set aside.
func TestOpenOtherSchema(t *testing.T) {
	t.Parallel()
	path := newSample(t)
	edit(t, path, func(tx *bolt.Tx) error {
		b := tx.Bucket(bucketMeta)
		return errors.Join(b.Put(keySchema, seal(keySchema, []byte("99"))), tx.DeleteBucket(bucketB))
	})
	for _, err := range refused(t, path, Options{}, checked(), Options{ReadOnly: true}) {
		if errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "schema 99") {
			t.Errorf("the error is %v", err)
		}
	}
	for name, change := range map[string]func(tx *bolt.Tx) error{
		"older":                func(tx *bolt.Tx) error { return tx.Bucket(bucketMeta).Put(keySchema, seal(keySchema, []byte("2"))) },
		"of another program":   func(tx *bolt.Tx) error { return tx.DeleteBucket(bucketMeta) },
		"without its checksum": func(tx *bolt.Tx) error { return tx.Bucket(bucketMeta).Put(keySchema, []byte("3")) },
		"without a bucket":     func(tx *bolt.Tx) error { return tx.DeleteBucket(bucketB) },
	} {
		path := newSample(t)
		must(t, os.Remove(path+backupSuffix))
		edit(t, path, change)
		if err := refused(t, path, Options{ReadOnly: true})[0]; !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
		if got := openAt(t, path, checked()).Opened(); !got.New || got.Aside == "" || got.Reason == "" {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestOpenDirectory(t *testing.T) {
	t.Parallel()
	if _, err := Open(t.TempDir(), layout, Options{}); err == nil || errors.Is(err, ErrDamaged) {
		t.Errorf("the error is %v", err)
	}
}

// TestClosed: a database that was closed answers with errors, and can be closed again.
func TestClosed(t *testing.T) {
	t.Parallel()
	db := openAt(t, newSample(t), Options{})
	must(t, db.Close())
	if err := db.View(func(*Tx) error { return nil }); err == nil || errors.Is(err, ErrDamaged) {
		t.Errorf("View: %v", err)
	}
	if err := db.Batch(func(*Tx) error { return nil }); err == nil || errors.Is(err, ErrDamaged) {
		t.Errorf("Batch: %v", err)
	}
	must(t, db.Close())
}
