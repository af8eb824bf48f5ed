package daemon

import (
	"context"
	"time"

	"github.com/codestory/codestoryd/internal/wait"
)

const (
	clockEvery = 2 * time.Second // between two looks at the clock
	clockJump  = 8 * time.Second // beyond that the clock has jumped, or all of us stood still
)

// watchClock notices when the machine has slept, or its clock was set: timers do not run while a lid is closed, events
// of other machines were missed, and what was true of the network is no more. now is time.Now.
func (d *Daemon) watchClock(ctx context.Context, now func() time.Time) {
	for last := now(); wait.Sleep(ctx, clockEvery); {
		this := now()
		if jumped(last, this) {
			d.wakeUp()
		}
		last = this
	}
}

// jumped reports whether the wall clock went on otherwise than it does between two looks.
func jumped(last, now time.Time) bool {
	went := now.Round(0).Sub(last.Round(0)) // without the monotonic clock, which stands still in sleep
	return went < -clockJump || went > clockEvery+clockJump
}

// wakeUp looks at everything anew: the directory, the store, and what waits for a time that a clock set back has put
// off.
func (d *Daemon) wakeUp() {
	d.log.Info("the clock has jumped: the directory is scanned, the store asked, and what waits tried at once")
	d.watcher.Rescan()
	d.uploads.ProbeNow()
	if err := d.queue.Hasten(); err != nil {
		d.log.Warn("what waits for its next attempt keeps its time", "error", err)
	}
}
