package s3

import (
	"net"
	"syscall"
)

// soNWrite is SO_NWRITE of sys/socket.h, which package syscall leaves out.
const soNWrite = 0x1024

// unsentBytes is how much was written that the other side has not acknowledged yet; false where that is not known.
func unsentBytes(c net.Conn) (n int, known bool) {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return 0, false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return 0, false
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		n, failed = syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, soNWrite)
	})
	return n, err == nil && failed == nil
}
