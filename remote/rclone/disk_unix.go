//go:build unix

package rclone

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// goneDisk are the errors of a network file system that went away, beside those of every system.
var goneDisk = []error{syscall.ESTALE, syscall.EHOSTDOWN, syscall.EHOSTUNREACH}

// isBadName reports whether the file system cannot keep the name, beyond its length.
func isBadName(err error) bool { return errors.Is(err, syscall.EILSEQ) }

// syncDir makes the entries of the directory durable. File systems that have nothing to sync there refuse, which is
// no error.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("syncing a directory: %w", err)
	}
	err = d.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP) {
		err = nil
	}
	return errors.Join(err, d.Close())
}

// syncMoved makes durable that path is the name of a file that was moved there.
func syncMoved(path string) error { return syncDir(filepath.Dir(path)) }

// writable returns nil where files can be made in the directory.
func writable(dir string) error {
	if err := unix.Access(dir, unix.W_OK|unix.X_OK); err != nil {
		return &os.PathError{Op: "access", Path: dir, Err: err}
	}
	return nil
}
