//go:build !linux && !darwin

package queue

import (
	"errors"
	"os"
)

func lock(*os.File) error { return nil }

// unlock has nothing to do where closing lets go of the lock.
func unlock(*os.File) error { return nil }

// renameLocked closes the file before it renames it: an open one cannot be renamed here. Who has it open too keeps it.
func renameLocked(f *os.File, from, to string) error {
	return errors.Join(f.Close(), os.Rename(from, to))
}

// canReplaceOpen: an open file cannot be renamed here. The database is not compacted.
const canReplaceOpen = false
