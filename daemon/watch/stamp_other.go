//go:build !linux

package watch

import "time"

// stampNow is the time that a file would be stamped with now.
func stampNow() int64 { return time.Now().UnixNano() }
