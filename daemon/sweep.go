package daemon

import (
	"context"
	"time"

	"github.com/codestory/codestoryd/remote"
)

const (
	sweepEvery = time.Minute
	sweepBatch = 100
)

// sweep aborts uploads in parts that nobody will go on with, as long as the store answers, until ctx ends. They are
// those of the queue's ledger, which names ours only.
func (d *Daemon) sweep(ctx context.Context) {
	aborter, ok := d.remote.(remote.Aborter)
	if !ok {
		return
	}
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		if d.gate.reads() {
			if err := d.abortAbandoned(ctx, aborter); err != nil && ctx.Err() == nil {
				d.log.Warn("an abandoned upload could not be aborted; it is tried again", "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (d *Daemon) abortAbandoned(ctx context.Context, aborter remote.Aborter) error {
	uploads, err := d.queue.Abandoned(sweepBatch)
	if err != nil {
		return err
	}
	for _, u := range uploads {
		if err := aborter.Abort(ctx, u.Path.Key(), u.State); err != nil {
			return err
		}
		if err := d.queue.Forget(u); err != nil {
			return err
		}
	}
	return nil
}
