//go:build unix

package folder

import "syscall"

// goneDisk are the errors of a disk that went away.
var goneDisk = []error{
	syscall.ETIMEDOUT, syscall.ENOTCONN, syscall.ENODEV, syscall.ESTALE, syscall.EHOSTDOWN, syscall.EHOSTUNREACH,
}

// badName are the errors for a name that the file system cannot keep.
var badName = []error{syscall.ENAMETOOLONG, syscall.EILSEQ}
