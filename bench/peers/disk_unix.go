//go:build unix

package main

import "syscall"

// settleDisk waits until what was written is on the disk, so that a client does not pay for the one before it.
func settleDisk() { syscall.Sync() }
