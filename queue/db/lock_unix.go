//go:build linux || darwin

package db

import (
	"os"
	"syscall"
)

// lock takes the lock of an open file, if nobody has it.
func lock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }

// unlock releases the lock. Closing the file is not enough while it is mapped.
func unlock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_UN) }

// renameOpen renames a file that is open.
func renameOpen(_ *os.File, from, to string) error { return os.Rename(from, to) }
