package watch

import (
	"os"

	"golang.org/x/sys/unix"
)

// born is when the directory that info describes was made; 0 where the file system does not say.
func born(dir string, _ os.FileInfo) int64 {
	var st unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, dir, unix.AT_STATX_DONT_SYNC, unix.STATX_BTIME, &st)
	if err != nil || st.Mask&unix.STATX_BTIME == 0 {
		return 0
	}
	return st.Btime.Sec*1e9 + int64(st.Btime.Nsec)
}
