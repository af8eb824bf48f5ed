//go:build !linux && !darwin

package queue

import "os"

// unlock lets go of bbolt's lock. Closing the file does.
func unlock(*os.File) error { return nil }
