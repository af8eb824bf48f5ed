//go:build !linux

package watch

import (
	"errors"
	"fmt"
	"syscall"
)

// limitHint says how to raise the limit that err speaks of.
func limitHint(err error) string {
	if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
		return "too many files are open, since each directory and file that is watched takes one: " +
			"raise the limit (`ulimit -n`)"
	}
	return fmt.Sprintf("the system says: %v", err)
}
