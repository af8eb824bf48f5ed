package queue

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/codestory/codestoryd/internal/atomicfile"
	"github.com/codestory/codestoryd/internal/disk"
)

// bbolt uses free pages again and never gives them back: after a backlog of a million files has been uploaded the file
// is as large as it ever was.

const (
	compactSuffix = ".compact"
	compactAbove  = 16 << 20 // bytes of a database that is worth it
	compactSlack  = 8 << 20  // bytes that have to be left on the disk
	compactAtOnce = 1 << 20  // bytes of values in one transaction
)

// Compact copies the database without its free pages, where it is large and more than half of it is free, and returns
// how many bytes that has saved. Writes wait meanwhile: do it when there are none. Killed at any point, the one or the
// other of the two is in place, and both hold the same. Where the disk has no room for the copy nothing is done.
func (q *Queue) Compact() (saved int64, err error) {
	q.writer.Lock()
	defer q.writer.Unlock()
	if q.broken != nil || !canReplaceOpen {
		return 0, q.broken
	}
	info, err := q.file.Stat()
	if err != nil {
		return 0, fmt.Errorf("compacting the database: %w", err)
	}
	used := info.Size() - int64(q.db.Stats().FreePageN+q.db.Stats().PendingPageN)*int64(q.db.Info().PageSize)
	if info.Size() < compactAbove || 2*used > info.Size() {
		return 0, nil
	}
	if room, known := disk.Room(filepath.Dir(q.path)); known && room < used+used/4+compactSlack {
		return 0, nil
	}
	if err := q.compact(); err != nil {
		return 0, q.noticed(fmt.Errorf("compacting the database: %w", err))
	}
	now, err := q.file.Stat()
	if err != nil {
		return 0, fmt.Errorf("compacting the database: %w", err)
	}
	return info.Size() - now.Size(), nil
}

// compact is Compact for who holds writer, whether it pays or not.
func (q *Queue) compact() error {
	copied := q.path + compactSuffix
	db, file, err := q.copyTo(copied)
	if err == nil {
		err = q.swapFor(db, file, copied)
	}
	if err != nil {
		_ = os.Remove(copied)
	}
	return err
}

// copyTo makes a database of all that is in this one, on disk when it returns.
func (q *Queue) copyTo(path string) (db *bolt.DB, file *os.File, err error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) { // of a process that was killed
		return nil, nil, err
	}
	if db, file, err = openFile(path, Options{Timeout: time.Second}); err != nil {
		return nil, nil, err
	}
	db.NoSync = true
	err = guard(func() error { return bolt.Compact(db, q.db, compactAtOnce) })
	db.NoSync = false
	if err == nil {
		err = db.Sync()
	}
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	return db, file, nil
}

// swapFor puts the copy, which is open and locked, in the place of the database. Nobody looks at it meanwhile.
func (q *Queue) swapFor(db *bolt.DB, file *os.File, copied string) error {
	q.swap.Lock()
	defer q.swap.Unlock()
	if err := os.Rename(copied, q.path); err != nil {
		return errors.Join(err, db.Close())
	}
	old := q.db
	q.db, q.file = db, file
	q.writes++
	return errors.Join(atomicfile.SyncDir(filepath.Dir(q.path)), old.Close())
}
