package client

import "syscall"

// connectionRefused is the error of a port that nobody listens at: WSAECONNREFUSED, which package syscall has no name
// for. Its ECONNREFUSED is a number of its own there.
const connectionRefused = syscall.Errno(10061)
