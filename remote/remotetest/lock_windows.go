package remotetest

import (
	"os"

	"golang.org/x/sys/windows"
)

// lockFile waits for the lock of that name, which ends with the process at the latest.
func lockFile(name string) (unlock func(), err error) {
	file, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	err = windows.LockFileEx(windows.Handle(file.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK, 0, 1, 0, new(windows.Overlapped))
	if err != nil {
		file.Close()
		return nil, err
	}
	return func() { file.Close() }, nil
}
