//go:build unix

package atomicfile

import "syscall"

// openFlags keep an open from waiting for a pipe's writer, and from following a symbolic link.
const openFlags = syscall.O_NONBLOCK | syscall.O_NOFOLLOW
