package rclone

import "golang.org/x/sys/windows"

// goneDisk are the errors of a disk or share that went away, beside those of every system.
var goneDisk = []error{
	windows.ERROR_NOT_READY, windows.ERROR_BAD_NETPATH, windows.ERROR_BAD_NET_NAME, windows.ERROR_NETNAME_DELETED,
	windows.ERROR_UNEXP_NET_ERR, windows.ERROR_DEV_NOT_EXIST, windows.ERROR_NO_SUCH_DEVICE,
}

// isBadName reports whether the file system cannot keep the name.
func isBadName(err error) bool {
	return isAny(err, windows.ERROR_INVALID_NAME, windows.ERROR_FILENAME_EXCED_RANGE, windows.ERROR_BUFFER_OVERFLOW)
}
