//go:build !linux && !darwin

package db

import (
	"errors"
	"os"
)

// lock does nothing here: bbolt's own lock is the only one.
func lock(*os.File) error { return nil }

// unlock does nothing here: closing the file is enough.
func unlock(*os.File) error { return nil }

// renameOpen closes the file before it renames it: an open one cannot be renamed here.
func renameOpen(f *os.File, from, to string) error {
	return errors.Join(f.Close(), os.Rename(from, to))
}
