package watch

import (
	"os"
	"syscall"

	"github.com/codestory/codestoryd"
)

// openFlags open a file for reading. A pipe that was put in a file's place does not block the open, and a file that
// somebody holds an exclusive lease on answers EAGAIN.
const openFlags = os.O_RDONLY | syscall.O_NONBLOCK | syscall.O_NOFOLLOW

// errNoName is how the system says that no file can have such a name.
const errNoName = syscall.ENAMETOOLONG

func versionOf(info os.FileInfo) codestory.Version {
	v := codestory.Version{Size: info.Size(), ModTime: info.ModTime().UnixNano()}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		v.ChangeTime, v.Inode = st.Ctim.Nano(), st.Ino
	}
	return v
}

func fileIDOf(info os.FileInfo) fileID {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return fileID{device: st.Dev, inode: st.Ino}
	}
	return fileID{}
}

// unlinked reports whether no name leads to the file any more.
func unlinked(info os.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && st.Nlink == 0
}
