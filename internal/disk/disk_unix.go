//go:build linux || darwin

// Package disk tells how much room file systems have. It must not know what is written to them.
package disk

import "syscall"

// Room is how many bytes may still be written to the file system of dir, if the system tells.
func Room(dir string) (n int64, known bool) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, false
	}
	return int64(s.Bavail) * int64(s.Bsize), true
}
