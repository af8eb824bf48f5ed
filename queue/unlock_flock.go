//go:build linux || darwin

package queue

import (
	"os"
	"syscall"
)

// unlock lets go of bbolt's lock. To close the file is not enough where it is still mapped.
func unlock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_UN) }
