package watch

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// stampNow is the time that a file would be stamped with now: the kernel's clock moves on in ticks of some milliseconds.
func stampNow() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_REALTIME_COARSE, &ts); err != nil {
		return time.Now().UnixNano()
	}
	return ts.Nano()
}

// multigrain are the file systems that stamp a change with a time of its own if the file was looked at since the last
// one, from Linux 6.13 on (filesystems/multigrain-ts in the kernel's documentation).
var multigrain = map[uint32]bool{
	unix.BTRFS_SUPER_MAGIC: true,
	unix.EXT4_SUPER_MAGIC:  true,
	unix.TMPFS_MAGIC:       true,
	unix.XFS_SUPER_MAGIC:   true,
}

// stampsDiffer reports whether a change of f after a look at it never leaves the change time that was seen.
func stampsDiffer(f *os.File) bool {
	raw, err := f.SyscallConn()
	if err != nil {
		return false
	}
	var fs unix.Statfs_t
	var statErr error
	err = raw.Control(func(fd uintptr) { statErr = unix.Fstatfs(int(fd), &fs) })
	if err != nil || statErr != nil || !multigrain[uint32(fs.Type)] {
		return false
	}
	var system unix.Utsname
	if err := unix.Uname(&system); err != nil {
		return false
	}
	return multigrainKernel(unix.ByteSliceToString(system.Release[:]))
}

func multigrainKernel(release string) bool {
	var major, minor int
	n, _ := fmt.Sscanf(release, "%d.%d", &major, &minor)
	return n == 2 && (major > 6 || major == 6 && minor >= 13)
}
