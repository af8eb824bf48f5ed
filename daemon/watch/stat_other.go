//go:build !linux && !darwin

package watch

import (
	"os"
	"syscall"

	"github.com/codestory/codestoryd"
)

const openFlags = os.O_RDONLY

// errNoName is how Windows says that no file can have such a name (ERROR_INVALID_NAME); elsewhere it never occurs.
const errNoName = syscall.Errno(123)

// versionOf knows size and modification time only: a directory's entries do not have the rest.
func versionOf(info os.FileInfo) codestory.Version {
	return codestory.Version{Size: info.Size(), ModTime: info.ModTime().UnixNano()}
}

func fileIDOf(os.FileInfo) fileID { return fileID{} }

// unlinked matters only if a version has a change time.
func unlinked(os.FileInfo) bool { return false }
