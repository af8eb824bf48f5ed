package atomicfile

import (
	"errors"
	"syscall"
)

// System error codes of Windows.
const (
	errorHandleDiskFull = syscall.Errno(39)
	errorDiskFull       = syscall.Errno(112)
)

// isDiskFull reports whether there is no room left on a disk.
func isDiskFull(err error) bool {
	return errors.Is(err, errorHandleDiskFull) || errors.Is(err, errorDiskFull)
}
