//go:build unix

package access

import (
	"io/fs"
	"os"
	"syscall"
)

// ownerOf reports whether a file belongs to the user of this process, and whether it belongs to somebody who could
// change it anyway: that user, or root.
func ownerOf(info fs.FileInfo) (ours, trusted bool) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return true, true
	}
	ours = int(stat.Uid) == os.Geteuid()
	return ours, ours || stat.Uid == 0
}
