package daemon

import (
	"sync/atomic"

	"github.com/codestory/codestoryd"
)

// counters count what the daemon has done since it started.
type counters struct {
	uploads, sent            atomic.Int64
	retried, blocked, paused atomic.Int64
}

// failed counts an attempt that failed.
func (c *counters) failed(class codestory.Class) {
	switch class {
	case codestory.ClassPause:
		c.paused.Add(1)
	case codestory.ClassBlock:
		c.blocked.Add(1)
	default:
		c.retried.Add(1)
	}
}

// Counters is what the daemon has done since it started.
func (d *Daemon) Counters() codestory.Counters {
	c := &d.counters
	return codestory.Counters{
		Uploads: c.uploads.Load(), SentBytes: c.sent.Load(),
		Failures: map[string]int64{"retry": c.retried.Load(), "block": c.blocked.Load(), "pause": c.paused.Load()},
		ScanTook: d.watcher.ScanTook(),
	}
}
