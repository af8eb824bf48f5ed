package db

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	bolt "go.etcd.io/bbolt"
)

// backedUp returns what the last backup has under the key; "" if there is none.
func backedUp(t *testing.T, path, key string) string {
	t.Helper()
	if _, err := os.Stat(path + backupSuffix); err != nil {
		return ""
	}
	db, err := Open(path+backupSuffix, layout, Options{ReadOnly: true})
	must(t, err)
	defer db.Close()
	return get(t, db, key)
}

// TestRunBacksUp: hourly if something has changed, soon after it was asked to, and before it ends.
func TestRunBacksUp(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	synctest.Test(t, func(t *testing.T) {
		db := openAt(t, path, Options{})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- db.Run(ctx) }()
		wants := func(want string) {
			t.Helper()
			if got := backedUp(t, path, "k"); got != want {
				t.Errorf("the backup has %q, want %q", got, want)
			}
		}
		put(t, db, "k", "1")
		time.Sleep(59 * time.Minute)
		wants("")
		time.Sleep(time.Minute + time.Second)
		wants("1")
		info, err := os.Stat(path + backupSuffix)
		must(t, err)
		if info.Mode().Perm() != 0o600 && runtime.GOOS != "windows" {
			t.Errorf("rights %v", info.Mode())
		}
		time.Sleep(3 * time.Hour)
		if again, err := os.Stat(path + backupSuffix); err != nil || !os.SameFile(info, again) {
			t.Errorf("nothing has changed, and it was written again: %v", err)
		}
		put(t, db, "k", "2")
		db.BackupSoon()
		time.Sleep(time.Second)
		wants("2")
		put(t, db, "k", "3")
		time.Sleep(time.Second)
		wants("2")
		db.BackupSoon()
		stop()
		must(t, <-ended)
		wants("3")
		must(t, db.Close())
	})
}

// TestBackupIsChecked: a copy that is not whole does not replace the backup before, and is damage.
func TestBackupIsChecked(t *testing.T) {
	t.Parallel()
	path := newSample(t)
	db := openAt(t, path, checked())
	before := read(t, path+backupSuffix)
	flip(t, path)
	err := db.Backup(t.Context())
	if !errors.Is(err, ErrDamaged) || !errors.Is(db.Run(t.Context()), ErrDamaged) {
		t.Fatalf("the error is %v", err)
	}
	if string(read(t, path+backupSuffix)) != string(before) {
		t.Error("the backup was replaced")
	}
	must(t, db.Close())
	again := openAt(t, path, Options{After: err})
	if n, err := keysOf(t, again); n != sampleKeys/2 || err != nil || again.Opened().Aside == "" {
		t.Errorf("%d keys, %v, %+v", n, err, again.Opened())
	}
}

// TestLargeIsCheckedByItsFirstBackup: it is opened at once, and damage found a moment later.
func TestLargeIsCheckedByItsFirstBackup(t *testing.T) {
	t.Parallel()
	path := newSample(t)
	flip(t, path)
	opts := checked()
	opts.checkedAbove = 1
	db := openAt(t, path, opts)
	if got := db.Opened(); got != (Opened{}) {
		t.Fatalf("opened: %+v", got)
	}
	err := db.Run(t.Context())
	if !errors.Is(err, ErrDamaged) {
		t.Fatalf("Run gave %v", err)
	}
	must(t, db.Close())
	opts.After = err
	if got := openAt(t, path, opts).Opened(); got.Aside == "" || got.Backup.IsZero() {
		t.Errorf("opened again: %+v", got)
	}
}

// TestBackupThatCannotBeWritten leaves the one before, and is no damage.
func TestBackupThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	path := newSample(t)
	db := openAt(t, path, checked())
	must(t, os.MkdirAll(path+backupSuffix+newSuffix+"/full", 0o700))
	if err := db.Backup(t.Context()); err == nil || errors.Is(err, ErrDamaged) || db.Damage() != nil {
		t.Errorf("the error is %v, the damage %v", err, db.Damage())
	}
	if backedUp(t, path, string(sampleKey(2))) == "" {
		t.Error("the backup before is gone")
	}
}

// TestCompact: what is free is given back when the database is opened, and all that is in it is there as before.
func TestCompact(t *testing.T) {
	t.Parallel()
	path := newSample(t)
	backlog := []byte("backlog")
	edit(t, path, func(tx *bolt.Tx) error {
		b, err := tx.CreateBucket(backlog)
		for n := range 200 {
			err = errors.Join(err, b.Put(fmt.Append(nil, n), make([]byte, 100_000)))
		}
		return err
	})
	edit(t, path, func(tx *bolt.Tx) error { return tx.DeleteBucket(backlog) })
	before, err := os.Stat(path)
	must(t, err)
	must(t, os.WriteFile(path+newSuffix, []byte("of a process that was killed"), 0o600))
	db := openAt(t, path, checked())
	after, err := os.Stat(path)
	must(t, err)
	if after.Size() > before.Size()/10 {
		t.Errorf("of %d bytes %d are left", before.Size(), after.Size())
	}
	if n, err := keysOf(t, db); n != sampleKeys || err != nil || db.Opened() != (Opened{}) {
		t.Errorf("%d keys, %v, %+v", n, err, db.Opened())
	}
	put(t, db, "k", "v")
	if _, err := Open(path, layout, Options{Timeout: time.Millisecond}); !errors.Is(err, ErrLocked) {
		t.Errorf("others can open it: %v", err)
	}
}
