//go:build !windows

package client

import "syscall"

// connectionRefused is the error of a port that nobody listens at.
const connectionRefused = syscall.ECONNREFUSED
