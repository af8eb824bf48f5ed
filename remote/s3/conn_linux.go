package s3

import (
	"net"
	"syscall"
	"unsafe"
)

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
	var value int32
	var errno syscall.Errno
	err = raw.Control(func(fd uintptr) {
		// SIOCOUTQ of tcp(7), which is another name of this one.
		_, _, errno = syscall.Syscall(syscall.SYS_IOCTL, fd, syscall.TIOCOUTQ, uintptr(unsafe.Pointer(&value)))
	})
	return int(value), err == nil && errno == 0
}
