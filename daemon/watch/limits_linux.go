package watch

import (
	"errors"
	"fmt"
	"syscall"
)

// limitHint says how to raise the limit that err speaks of.
func limitHint(err error) string {
	const keep = "; write the line into a file of /etc/sysctl.d to keep it after a restart of the machine"
	switch {
	case errors.Is(err, syscall.ENOSPC):
		return "no inotify watches are left: raise fs.inotify.max_user_watches, for example with " +
			"`sudo sysctl fs.inotify.max_user_watches=1048576`" + keep
	case errors.Is(err, syscall.EMFILE):
		return "no inotify instance is left: raise fs.inotify.max_user_instances, for example with " +
			"`sudo sysctl fs.inotify.max_user_instances=1024`" + keep +
			"; or this process has too many files open: raise its limit (`ulimit -n`)"
	case errors.Is(err, syscall.ENFILE):
		return "the machine has too many files open: raise fs.file-max, for example with " +
			"`sudo sysctl fs.file-max=1048576`" + keep
	default:
		return fmt.Sprintf("the system says: %v", err)
	}
}
