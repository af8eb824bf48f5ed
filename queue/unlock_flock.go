//go:build linux || darwin

package queue

import (
	"os"
	"syscall"
)

// lock takes bbolt's lock, if nobody has it.
func lock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }

// unlock lets go of bbolt's lock. To close the file is not enough where it is still mapped.
func unlock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_UN) }

// renameLocked renames a file that is open and locked.
func renameLocked(_ *os.File, from, to string) error { return os.Rename(from, to) }

// canReplaceOpen: an open file can be renamed, and another renamed to its name.
const canReplaceOpen = true
