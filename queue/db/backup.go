package db

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/internal/atomicfile"
	"github.com/codestory/codestoryd/internal/disk"
)

const (
	backupSuffix = ".bak"
	newSuffix    = ".new"

	backupEvery = time.Hour
	backupSoon  = 200 * time.Millisecond // after BackupSoon, so that many calls share one
	backupRest  = 10                     // times as long as a backup took, nothing is backed up again
	backupRetry = time.Minute            // after one that failed
	backupLast  = 3 * time.Second        // that a backup may take when Run is told to stop
)

const problemBackup = "backup_failing"

// BackupSoon has Run back the database up within a moment: what was committed could not be found out again.
func (d *DB) BackupSoon() {
	select {
	case d.asked <- struct{}{}:
	default:
	}
}

// keepBackups backs the database up until ctx ends: at once if it was too large to be checked when it was opened or has no
// backup yet, hourly if something has changed, and when BackupSoon asks for it.
func (d *DB) keepBackups(ctx context.Context) {
	var allowed time.Time // the next one; none is begun before
	last := 0             // transactions since the database was opened that the last backup has
	due, asked := time.Now().Add(backupEvery), false
	if d.opts.Check != nil && !d.checked || !d.opened.New && !d.hasBackup() {
		due, last = time.Now(), -1
	}
	for {
		t := time.NewTimer(time.Until(due))
		select {
		case <-ctx.Done():
			t.Stop()
			if asked || len(d.asked) > 0 {
				ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), backupLast)
				defer cancel()
				d.tryBackup(ctx)
			}
			return
		case <-d.asked:
			t.Stop()
			if !asked {
				due, asked = later(time.Now().Add(backupSoon), allowed), true
			}
			continue
		case <-t.C:
		}
		begun, now := time.Now(), d.committed()
		ok := now == last && !asked || d.tryBackup(ctx)
		allowed = time.Now().Add(backupRest * time.Since(begun))
		if ok {
			last, asked, due = now, false, later(allowed, begun.Add(backupEvery))
		} else {
			due = later(allowed, time.Now().Add(backupRetry))
		}
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (d *DB) hasBackup() bool {
	_, err := os.Stat(d.path + backupSuffix)
	return err == nil
}

func (d *DB) committed() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.writes
}

// tryBackup backs the database up and reports whether that succeeded. Damage ends Run.
func (d *DB) tryBackup(ctx context.Context) bool {
	err := d.Backup(ctx)
	switch {
	case err == nil:
		d.clear(problemBackup)
	case !errors.Is(err, ErrDamaged) && ctx.Err() == nil:
		d.report(codestory.Problem{Code: problemBackup, Message: fmt.Sprintf(
			"the database cannot be backed up: %v; it is tried again", err)})
	}
	return err == nil
}

// Backup copies the database, has the copy checked and, if it is whole, puts it in the place of the last backup. A copy
// that is not whole is damage of the database.
func (d *DB) Backup(ctx context.Context) error {
	backup := d.path + backupSuffix
	copied := backup + newSuffix
	err := writeNew(copied, func(w *os.File) error {
		return d.View(func(tx *Tx) error {
			_, err := tx.bolt.WriteTo(w)
			if errors.Is(err, io.EOF) {
				err = fmt.Errorf("%w: the file is cut off", ErrDamaged)
			}
			return err
		})
	})
	if err == nil && d.opts.Check != nil {
		if err = d.opts.Check(ctx, copied); err != nil {
			_ = os.Remove(copied)
		}
	}
	if err == nil {
		err = rename(copied, backup)
	}
	return d.met(atomicfile.Explain(err))
}

const (
	compactAbove = 16 << 20 // bytes of a database that is worth it
	compactMost  = 64 << 20 // bytes in use up to which it delays a start by no more than a second or so
	compactSlack = 8 << 20  // bytes that have to be left on the disk
	compactBatch = 1 << 20  // bytes of values in one transaction
)

// compact replaces the database that was just opened by a copy without its free pages, if it is large and more than half
// of it is free: bbolt uses free pages again and never gives them back. If there is no room for the copy, or it fails,
// the database stays as it is.
func (d *DB) compact() error {
	free := int64(d.bolt.Stats().FreePageN+d.bolt.Stats().PendingPageN) * int64(d.bolt.Info().PageSize)
	used := d.info.Size() - free
	if d.info.Size() < compactAbove || 2*used > d.info.Size() || used > compactMost {
		return nil
	}
	if room, known := disk.Room(filepath.Dir(d.path)); known && room < used+used/4+compactSlack {
		return nil
	}
	copied := d.path + newSuffix
	if err := d.compactTo(copied); err != nil {
		_ = os.Remove(copied)
		if errors.Is(err, ErrDamaged) {
			return err
		}
		return nil
	}
	if err := d.bolt.Close(); err != nil {
		return err
	}
	if err := rename(copied, d.path); err != nil {
		return err
	}
	return d.openFile()
}

func (d *DB) compactTo(path string) error {
	if err := removeIfThere(path); err != nil { // of a process that was killed
		return err
	}
	to, _, err := openBolt(path, Options{Timeout: d.opts.Timeout})
	if err != nil {
		return err
	}
	to.NoSync = true
	err = d.guard(func() error { return bolt.Compact(to, d.bolt, compactBatch) })
	return errors.Join(err, to.Sync(), to.Close())
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
