//go:build !windows

package atomicfile

import (
	"errors"
	"syscall"
)

// isDiskFull reports whether there is no room left on a disk, or in a user's share of it.
func isDiskFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
