package s3

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// sendLittleAhead keeps the kernel from taking much more of a body than the network has moved. Without it the last
// megabytes of a body would wait in the kernel on a slow line, longer than a stall may last, while nothing is seen to move.
func sendLittleAhead(_, _ string, c syscall.RawConn) error {
	const unsent = 128 << 10 // bytes
	return c.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, unsent) // a kernel without it sends all the same
	})
}
