package access

import "io/fs"

func ownerOf(fs.FileInfo) (ours, trusted bool) { return true, true }
