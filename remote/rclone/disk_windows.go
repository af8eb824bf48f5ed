package rclone

import (
	"os"

	"golang.org/x/sys/windows"
)

// goneDisk are the errors of a disk or share that went away, beside those of every system.
var goneDisk = []error{
	windows.ERROR_NOT_READY, windows.ERROR_BAD_NETPATH, windows.ERROR_BAD_NET_NAME, windows.ERROR_NETNAME_DELETED,
	windows.ERROR_UNEXP_NET_ERR, windows.ERROR_DEV_NOT_EXIST, windows.ERROR_NO_SUCH_DEVICE,
}

// isBadName reports whether the file system cannot keep the name.
func isBadName(err error) bool {
	return isAny(err, windows.ERROR_INVALID_NAME, windows.ERROR_FILENAME_EXCED_RANGE, windows.ERROR_BUFFER_OVERFLOW)
}

// syncDir does nothing: Windows syncs no directories. See syncMoved.
func syncDir(string) error { return nil }

// syncMoved makes durable that path is the name of a file that was moved there. NTFS writes its log in order, so a
// flush of the file takes along the move, and the directories that were made before it.
func syncMoved(path string) error { return syncFile(path) }

// writable returns nil where the directory is there. Whether files can be made in it only an attempt tells.
func writable(dir string) error {
	_, err := os.Stat(dir)
	return err
}
