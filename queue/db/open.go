package db

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/codestory/codestoryd/internal/atomicfile"
)

const (
	lockSuffix  = ".lock"
	asideSuffix = ".damaged-" // and the time
	asideTime   = "20060102T150405Z"
	maxAside    = 3 // databases that were set aside; of more the oldest is removed

	// maxCheckedFirst is the largest database, in bytes, that is checked before it is opened. A larger one would delay
	// the start: its first backup, which Run makes at once, is checked instead.
	maxCheckedFirst = 64 << 20
)

// Open opens the database, and makes it if there is none. The error wraps ErrLocked if another process has it open. A
// database that is damaged is an error only if it was opened read-only; else see Opened.
func Open(path string, layout Layout, opts Options) (*DB, error) {
	if opts.Timeout == 0 {
		opts.Timeout = time.Second
	}
	if opts.checkedAbove == 0 {
		opts.checkedAbove = maxCheckedFirst
	}
	d := &DB{path: path, layout: layout, opts: opts, asked: make(chan struct{}, 1), damaged: make(chan struct{})}
	err := d.open()
	if err != nil {
		_ = d.Close()
		return nil, openError(path, err)
	}
	return d, nil
}

func (d *DB) open() error {
	if d.opts.ReadOnly {
		return d.openFile()
	}
	used, err := d.takeLock()
	if err != nil {
		return err
	}
	damage := d.stillDamaged(d.opts.After)
	if damage == nil {
		err := d.openChecked()
		switch {
		case errors.Is(err, ErrDamaged):
			damage = err
		case !errors.Is(err, fs.ErrNotExist):
			return err
		}
	}
	d.opened = Opened{New: true, Lost: used || damage != nil}
	if damage != nil {
		if err := d.setAside(damage); err != nil {
			return err
		}
	}
	if err := d.takeBackup(); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	d.checked = true
	return d.create()
}

// stillDamaged is after, if that is damage of the file that is still there.
func (d *DB) stillDamaged(after error) error {
	e, ok := errors.AsType[*damageError](after)
	if !ok || e.file == nil {
		return nil
	}
	info, err := os.Stat(d.path)
	if err != nil || !os.SameFile(info, e.file) {
		return nil
	}
	return e
}

// openChecked opens the file that is there. The error is fs.ErrNotExist if there is none, or nothing was ever written to
// it, as after a crash that came between the two.
func (d *DB) openChecked() error {
	info, err := os.Stat(d.path)
	switch {
	case err != nil:
		return err
	case info.Size() == 0:
		return fs.ErrNotExist
	case d.opts.Check != nil && info.Size() <= d.opts.checkedAbove:
		if err := d.opts.Check(context.Background(), d.path); errors.Is(err, ErrDamaged) {
			return err
		} else if err == nil {
			d.checked = true
		}
	}
	if err := d.openFile(); err != nil {
		return err
	}
	return d.compact()
}

// openFile opens the file and looks at what every transaction needs.
func (d *DB) openFile() (err error) {
	for range 10 {
		if d.bolt, d.file, err = openBolt(d.path, d.opts); !errors.Is(err, errReplaced) {
			break
		}
	}
	if err != nil {
		return err
	}
	if d.info, err = d.file.Stat(); err != nil {
		return err
	}
	if err = checkSize(d.file); err == nil {
		err = d.guard(func() error { return d.bolt.View(func(tx *bolt.Tx) error { return checkLayout(tx, d.layout) }) })
	}
	if err == nil {
		return nil
	}
	_ = d.closeFile()
	d.bolt, d.closed, d.stuck = nil, false, false
	if errors.Is(err, ErrEmpty) && !d.opts.ReadOnly { // killed before anything was written
		return fs.ErrNotExist
	}
	return err
}

// create makes an empty database, or a file that has nothing in it one.
func (d *DB) create() (err error) {
	if d.bolt, d.file, err = openBolt(d.path, d.opts); err != nil {
		return err
	}
	if d.info, err = d.file.Stat(); err != nil {
		return err
	}
	return d.Batch(func(tx *Tx) error {
		for _, name := range append([][]byte{bucketMeta}, d.layout.Buckets...) {
			if _, err := tx.bolt.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		return putSchema(tx, d.layout)
	})
}

// The bucket of this package.
var (
	bucketMeta = []byte("db")
	keySchema  = []byte("schema") // in decimal
)

func putSchema(tx *Tx, layout Layout) error {
	return tx.Bucket(bucketMeta).Put(keySchema, []byte(strconv.Itoa(layout.Schema)))
}

// checkLayout refuses what is not a database of this program, or one of another schema.
func checkLayout(tx *bolt.Tx, layout Layout) error {
	if first, _ := tx.Cursor().First(); first == nil {
		return ErrEmpty
	}
	meta := tx.Bucket(bucketMeta)
	if meta == nil {
		return fmt.Errorf("%w: it is not one of this version of codestoryd", ErrDamaged)
	}
	body, ok := unseal(keySchema, meta.Get(keySchema))
	schema, err := strconv.Atoi(string(body))
	switch {
	case !ok || err != nil || schema < layout.Schema:
		return fmt.Errorf("%w: it is not one of this version of codestoryd", ErrDamaged)
	case schema > layout.Schema:
		return fmt.Errorf("the database has schema %d and this program reads %d at most: use the codestoryd that made it, or a newer one",
			schema, layout.Schema)
	}
	for _, name := range layout.Buckets {
		if tx.Bucket(name) == nil {
			return fmt.Errorf("%w: it has no bucket %q", ErrDamaged, name)
		}
	}
	return nil
}

// errReplaced: while the lock was waited for, another process put another file in the place of this one.
var errReplaced = errors.New("the file was replaced while it was opened")

// openBolt opens the file and locks it. If it fails the lock is released, also when bbolt panicked over a damaged page
// and left the file open.
func openBolt(path string, opts Options) (db *bolt.DB, file *os.File, err error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() && !info.IsDir() { // a pipe would wait for its writer
		return nil, nil, fmt.Errorf("it is no regular file (%s): remove it", info.Mode())
	}
	_, err = guarded(func() (err error) {
		db, err = bolt.Open(path, 0o600, &bolt.Options{
			Timeout:      opts.Timeout,
			ReadOnly:     opts.ReadOnly,
			FreelistType: bolt.FreelistMapType,
			OpenFile: func(name string, flag int, perm fs.FileMode) (*os.File, error) {
				file, err = os.OpenFile(name, flag, perm)
				return file, err
			},
		})
		return err
	})
	if err == nil && !isAt(file, path) {
		return nil, nil, errors.Join(errReplaced, db.Close())
	}
	if err == nil || file == nil {
		return db, file, err
	}
	replaced := !isAt(file, path)
	_ = unlock(file)
	_ = file.Close() // an error each, if bbolt has done so
	switch info, statErr := os.Stat(path); {
	case errors.Is(err, berrors.ErrTimeout):
		return nil, nil, ErrLocked
	case replaced:
		return nil, nil, errReplaced
	case statErr == nil && info.Mode().IsRegular() && 0 < info.Size() && info.Size() < int64(4*os.Getpagesize()):
		return nil, nil, fmt.Errorf("%w: the file has %d bytes, too few for a database", ErrDamaged, info.Size())
	case errors.Is(err, berrors.ErrInvalid), errors.Is(err, berrors.ErrChecksum), errors.Is(err, berrors.ErrVersionMismatch):
		return nil, nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	default:
		return nil, nil, err
	}
}

// isAt reports whether the file is still the one at path. It is if the file was closed: nothing is known of it then.
func isAt(file *os.File, path string) bool {
	opened, err := file.Stat()
	if err != nil {
		return true
	}
	there, err := os.Stat(path)
	return err == nil && os.SameFile(opened, there)
}

// openError says what a person can do about err.
func openError(path string, err error) error {
	switch {
	case errors.Is(err, ErrLocked):
		return fmt.Errorf("%w: another process has %s open: stop it, or choose another --data-dir", ErrLocked, path)
	case errors.Is(err, ErrDamaged):
		if _, ok := errors.AsType[*damageError](err); ok {
			return err
		}
		return &damageError{path: path, reason: err}
	case errors.Is(err, ErrEmpty):
		return err
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("opening the database: %w: give this user the rights to it", err)
	default:
		return fmt.Errorf("opening the database %s: %w", path, atomicfile.Explain(err))
	}
}

// takeLock locks the file beside the database, which keeps others from it while it is checked, set aside and opened.
// used reports whether there ever was a database.
func (d *DB) takeLock() (used bool, err error) {
	name := d.path + lockSuffix
	_, err = os.Stat(name)
	used = err == nil
	for deadline := time.Now().Add(d.opts.Timeout); ; time.Sleep(20 * time.Millisecond) {
		f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return false, err
		}
		if err = lock(f); err == nil && isAt(f, name) {
			d.lock = f
			return used, nil
		}
		_ = f.Close()
		if err != nil && time.Now().After(deadline) {
			return false, ErrLocked
		}
	}
}

// setAside renames the damaged file.
func (d *DB) setAside(damage error) error {
	file, err := os.Open(d.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("setting the damaged database aside: %w", err)
	}
	defer func() { _ = file.Close() }()
	if lock(file) != nil { // by a program that does not know our own lock
		return ErrLocked
	}
	defer func() { _ = unlock(file) }()
	aside := d.path + asideSuffix + time.Now().UTC().Format(asideTime)
	if _, err := os.Lstat(aside); err == nil { // the second in one second
		aside += time.Now().Format(".000000000")
	}
	if err := renameOpen(file, d.path, aside); err != nil {
		return fmt.Errorf("setting the damaged database aside: %w: move %s away yourself", err, d.path)
	}
	found := Asides(d.path)
	for _, old := range found[:max(0, len(found)-maxAside)] { // a disk that damages one after another is not filled
		_ = os.Remove(old)
	}
	e, ok := errors.AsType[*damageError](damage)
	if !ok {
		e = &damageError{reason: damage}
	}
	d.opened.Aside, d.opened.Reason = aside, e.text()
	return nil
}

// Asides lists the databases that were set aside and are still there, the oldest first.
func Asides(path string) []string {
	found, _ := filepath.Glob(strings.NewReplacer(`*`, `[*]`, `?`, `[?]`, `[`, `[[]`).Replace(path) + asideSuffix + "*")
	slices.Sort(found)
	return found
}

// takeBackup opens a copy of the backup in the place of the database. The error is fs.ErrNotExist if there is no backup,
// or none that is whole.
func (d *DB) takeBackup() error {
	backup := d.path + backupSuffix
	info, err := os.Stat(backup)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() { // a pipe would wait for its writer
		return fs.ErrNotExist
	}
	if d.opts.Check != nil {
		if err := d.opts.Check(context.Background(), backup); errors.Is(err, ErrDamaged) {
			return fs.ErrNotExist
		} else if err == nil {
			d.checked = true
		}
	}
	if err := copyFile(backup, d.path); err != nil {
		return fmt.Errorf("taking the backup: %w", err)
	}
	if err := d.openFile(); errors.Is(err, ErrDamaged) || errors.Is(err, fs.ErrNotExist) {
		return errors.Join(fs.ErrNotExist, os.Remove(d.path))
	} else if err != nil {
		return err
	}
	d.opened.Backup = info.ModTime()
	return nil
}

// copyFile copies a file to another, which is whole or not there.
func copyFile(from, to string) error {
	err := writeNew(to+newSuffix, func(w *os.File) error {
		r, err := os.Open(from)
		if err != nil {
			return err
		}
		defer func() { _ = r.Close() }()
		_, err = io.Copy(w, r)
		return err
	})
	if err != nil {
		return err
	}
	return rename(to+newSuffix, to)
}

// rename renames a file that is on disk, for good when it returns.
func rename(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return errors.Join(err, os.Remove(from))
	}
	return atomicfile.SyncDir(filepath.Dir(to))
}

// writeNew makes a file of what write writes, on disk when it returns. If it fails there is no file.
func writeNew(path string, write func(*os.File) error) error {
	if err := removeIfThere(path); err != nil { // of a process that was killed
		return err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(write(f), f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}
