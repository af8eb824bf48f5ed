package codestory

import "time"

// Version says which bytes of a file are meant, as far as the file system tells without reading them. Any difference
// means: read again.
type Version struct {
	Size       int64  // bytes
	ModTime    int64  // nanoseconds since 1970
	ChangeTime int64  // the inode's change time, in nanoseconds since 1970; 0 where the system has none
	Inode      uint64 // 0 where the system has none
}

// Modified is the modification time.
func (v Version) Modified() time.Time { return time.Unix(0, v.ModTime) }

// Written is when the file was last written to, as far as the file system tells. A modification time can be set, a
// change time cannot.
func (v Version) Written() time.Time {
	if v.ChangeTime != 0 {
		return time.Unix(0, v.ChangeTime)
	}
	return v.Modified()
}
