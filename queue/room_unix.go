//go:build linux || darwin

package queue

import "syscall"

// room is how many bytes may still be written to the disk that dir is on.
func room(dir string) (n int64, known bool) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, false
	}
	return int64(s.Bavail) * int64(s.Bsize), true
}
