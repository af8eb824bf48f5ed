package watch

import (
	"time"

	"golang.org/x/sys/unix"
)

// stampNow is the time that a file would be stamped with now: the kernel's clock moves on in ticks of some milliseconds.
func stampNow() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_REALTIME_COARSE, &ts); err != nil {
		return time.Now().UnixNano()
	}
	return ts.Nano()
}
