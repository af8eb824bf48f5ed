// Package db is the one file that the queue is kept in: opening and checking it, transactions that many callers share,
// values with checksums, backups. It must not know what a record is.
//
// There is one way to recover from damage. Whatever meets it fails with ErrDamaged, and so does Run; the caller closes
// the database and opens it again, with the error in Options.After. Open sets the damaged file aside and takes the
// newest backup that is whole, or begins an empty database.
//
// Beside the file PATH there are:
//
//	PATH.lock           locked by the process that writes to PATH
//	PATH.bak            the latest backup that was whole
//	PATH.damaged-TIME   a database that was set aside
//	PATH.*.new          a copy that is being written; the next one replaces it
package db

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/codestory/codestoryd/internal/problem"
)

var (
	// ErrLocked: another process has the database open.
	ErrLocked = errors.New("the database is in use")
	// ErrEmpty: nothing was ever written to the database, and it was opened read-only.
	ErrEmpty = errors.New("the database is empty")
	// ErrDamaged: the file is not a database of this program, or not a whole one.
	ErrDamaged = errors.New("the database is damaged")
)

// Layout is what every database of a program has.
type Layout struct {
	Schema  int      // a database of a newer one is refused, one of an older one counts as damaged
	Buckets [][]byte // Open makes them
}

// Options are the optional parts of Open.
type Options struct {
	// Timeout is how long to wait for another process to close the database; 0 waits one second.
	Timeout time.Duration
	// ReadOnly changes nothing, not even a damaged file; every method that would write fails.
	ReadOnly bool
	// After is the error that ended the use of the database before. If it is damage, and the file is still the same one,
	// Open sets the file aside without looking at it.
	After error
	// Check reports whether the closed database at path is whole, in another process: see CheckWith. nil checks nothing.
	Check func(ctx context.Context, path string) error
	// Problems gets what is wrong with the database while Run runs; nil reports nothing.
	Problems *problem.Set

	checkedAbove int64 // see maxCheckedFirst; for tests
}

// Opened says where the database that was opened came from.
type Opened struct {
	New    bool      // it was made by this Open, empty or from a backup
	Lost   bool      // there had been another one
	Aside  string    // the damaged file, where that was set aside
	Reason string    // what was wrong with it
	Backup time.Time // when the backup was made that was taken; zero if the database began empty
}

// DB is an open database. All methods may be called concurrently.
type DB struct {
	path   string
	layout Layout
	opts   Options
	bolt   *bolt.DB
	file   *os.File // that bolt has open
	info   fs.FileInfo
	lock   *os.File // nil if the database is read-only
	opened Opened

	checked bool // when it was opened
	asked   chan struct{}

	writer sync.Mutex // held for a write transaction
	closed bool       // guarded by writer

	mu      sync.Mutex // guards what follows
	calls   []*call    // that wait for the next transaction
	led     bool       // a call commits them, or is about to
	crowd   bool       // they were more than one the last time
	writes  int        // transactions that were committed
	failing bool       // the last write failed, and a problem says so
	stuck   bool       // bbolt panicked, and may keep its own locks for ever
	damage  error      // the first that anything met
	damaged chan struct{}
}

// Opened says where the database came from.
func (d *DB) Opened() Opened { return d.opened }

// Path is where the database is.
func (d *DB) Path() string { return d.path }

// Close waits for transactions under way and unlocks the file.
func (d *DB) Close() error {
	d.writer.Lock()
	defer d.writer.Unlock()
	err := d.closeFile()
	if d.lock != nil {
		err = errors.Join(err, d.lock.Close())
		d.lock = nil
	}
	return err
}

func (d *DB) closeFile() error {
	if d.bolt == nil || d.closed {
		return nil
	}
	d.closed = true
	d.mu.Lock()
	stuck := d.stuck
	d.mu.Unlock()
	if stuck { // bbolt's Close would wait for locks that nobody releases; the mapping stays until the process ends
		return errors.Join(unlock(d.file), d.file.Close())
	}
	return d.bolt.Close()
}

// damageError is ErrDamaged with the file that was damaged.
type damageError struct {
	path   string
	file   fs.FileInfo // nil if it is not known
	reason error
}

func (e *damageError) Error() string {
	return fmt.Sprintf("%v: codestoryd run sets %s aside and takes the last backup (%s)", ErrDamaged, e.path, e.text())
}

func (e *damageError) Is(target error) bool { return target == ErrDamaged }
func (e *damageError) Unwrap() error        { return e.reason }

// text is what is wrong, without the words that every such error has.
func (e *damageError) text() string {
	return strings.TrimPrefix(e.reason.Error(), ErrDamaged.Error()+": ")
}

// met notes damage, after which no transaction begins. It returns err, which may be of any kind.
func (d *DB) met(err error) error {
	if !errors.Is(err, ErrDamaged) {
		return err
	}
	if _, ok := errors.AsType[*damageError](err); !ok {
		err = &damageError{path: d.path, file: d.info, reason: err}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.damage == nil {
		d.damage = err
		close(d.damaged)
	}
	return err
}

// Damage is the first damage that anything met; nil if there was none.
func (d *DB) Damage() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.damage
}

const lookEvery = 5 * time.Second

// Run maintains the database until ctx ends or it is damaged, which is the error: it backs it up, notices that the file
// was removed, and tries whether it can be written again after a write failed.
func (d *DB) Run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	var backups sync.WaitGroup
	defer backups.Wait()
	defer stop()
	backups.Go(func() { d.keepBackups(ctx) })
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-d.damaged:
			return d.Damage()
		case <-tick.C:
		}
		if !isAt(d.file, d.path) {
			_ = d.met(fmt.Errorf("%w: %s was removed or replaced while it was in use", ErrDamaged, d.path))
		}
		d.probe()
	}
}
