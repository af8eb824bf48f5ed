package watch

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// networkFS are the file systems whose files may be open on another machine, which no lease knows of.
var networkFS = map[uint32]bool{
	unix.AFS_FS_MAGIC:      true,
	unix.AFS_SUPER_MAGIC:   true,
	unix.CEPH_SUPER_MAGIC:  true,
	unix.CIFS_SUPER_MAGIC:  true,
	unix.CODA_SUPER_MAGIC:  true,
	unix.FUSE_SUPER_MAGIC:  true,
	unix.NCP_SUPER_MAGIC:   true,
	unix.NFS_SUPER_MAGIC:   true,
	unix.OCFS2_SUPER_MAGIC: true,
	unix.SMB2_SUPER_MAGIC:  true,
	unix.SMB_SUPER_MAGIC:   true,
	unix.V9FS_MAGIC:        true,
}

// writersOf asks for a read lease on f, which the kernel grants only while nobody has the file open for writing, and
// gives it back at once: a writer's open blocks while it is held. If it was granted, info is f under the lease: a
// version that nobody is in the middle of writing.
func writersOf(f *os.File) (answer writers, info os.FileInfo, err error) {
	if info, err = f.Stat(); err != nil {
		return writersUnknown, nil, err
	}
	raw, err := f.SyscallConn()
	if err != nil {
		return writersUnknown, nil, err
	}
	var statErr error
	err = raw.Control(func(fd uintptr) {
		var fs unix.Statfs_t
		if err := unix.Fstatfs(int(fd), &fs); err != nil || networkFS[uint32(fs.Type)] {
			return
		}
		_, err := unix.FcntlInt(fd, unix.F_SETLEASE, unix.F_RDLCK)
		switch {
		case err == nil:
			answer = writersNone
			info, statErr = f.Stat()
			_, _ = unix.FcntlInt(fd, unix.F_SETLEASE, unix.F_UNLCK) // closing f releases it too
		case errors.Is(err, unix.EAGAIN):
			answer = writersSome
		}
	})
	if err := errors.Join(err, statErr); err != nil {
		return writersUnknown, nil, err
	}
	return answer, info, nil
}

// stampNow is the time that a file changed now would be stamped with: the kernel's clock advances in ticks of some
// milliseconds.
func stampNow() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_REALTIME_COARSE, &ts); err != nil {
		return time.Now().UnixNano()
	}
	return ts.Nano()
}
