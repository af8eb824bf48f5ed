//go:build unix

package rclone

import (
	"errors"
	"syscall"
)

// goneDisk are the errors of a network file system that went away, beside those of every system.
var goneDisk = []error{syscall.ESTALE, syscall.EHOSTDOWN, syscall.EHOSTUNREACH}

// isBadName reports whether the file system cannot keep the name, beyond its length.
func isBadName(err error) bool { return errors.Is(err, syscall.EILSEQ) }
