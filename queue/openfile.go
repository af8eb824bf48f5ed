package queue

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// errReplaced: while the lock was waited for, another process put another file in the place of this one.
var errReplaced = errors.New("the file was replaced while it was opened")

// openFile opens the file at path and locks it.
func openFile(path string, opts Options) (db *bolt.DB, file *os.File, err error) {
	for range 10 {
		if db, file, err = tryOpenFile(path, opts); !errors.Is(err, errReplaced) {
			break
		}
	}
	return db, file, err
}

// tryOpenFile opens the file and locks it. Where it fails the lock is let go of, also when bbolt panicked over a damaged
// page and left the file open.
func tryOpenFile(path string, opts Options) (db *bolt.DB, file *os.File, err error) {
	err = guard(func() (err error) {
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
	_ = file.Close() // an error each, where bbolt has done so
	if replaced && !errors.Is(err, berrors.ErrTimeout) {
		return nil, nil, errReplaced
	}
	if info, statErr := os.Stat(path); statErr == nil && 0 < info.Size() && info.Size() < smallest() &&
		!errors.Is(err, berrors.ErrTimeout) {
		err = fmt.Errorf("%w: the file has %d bytes, too few for any", ErrDamaged, info.Size())
	}
	return nil, nil, err
}

// isAt reports whether the file is still the one at path. One that was closed counts as such: nothing is known of it.
func isAt(file *os.File, path string) bool {
	opened, err := file.Stat()
	if err != nil {
		return true
	}
	there, err := os.Stat(path)
	return err == nil && os.SameFile(opened, there)
}

// smallest is the size of a new database, which is four pages.
func smallest() int64 { return 4 * int64(os.Getpagesize()) }

// openError says what a person can do about err.
func openError(path string, err error) error {
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return fmt.Errorf("%w: %s is held by %s: stop that, or choose another --data-dir", ErrLocked, path, holder(path))
	case errors.Is(err, ErrDamaged), errors.Is(err, berrors.ErrInvalid), errors.Is(err, berrors.ErrChecksum),
		errors.Is(err, berrors.ErrVersionMismatch):
		return &damagedError{path, err}
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("opening the database: %w: give this user the rights to it", err)
	default:
		return fmt.Errorf("opening the database %s: %w", path, err)
	}
}

// damagedError is ErrDamaged for people.
type damagedError struct {
	path string
	err  error
}

func (e *damagedError) Error() string {
	return fmt.Sprintf("%v: codestoryd run sets %s aside and makes it anew from the output directory and the store (%s)",
		ErrDamaged, e.path, reasonOf(e.err))
}

func (e *damagedError) Is(target error) bool { return target == ErrDamaged }
func (e *damagedError) Unwrap() error        { return e.err }

// reasonOf is what is wrong with a damaged database.
func reasonOf(err error) string {
	if e, ok := errors.AsType[*damagedError](err); ok {
		err = e.err
	}
	return strings.TrimPrefix(err.Error(), ErrDamaged.Error()+": ")
}
