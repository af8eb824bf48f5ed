package daemon

import (
	"context"
	"errors"
	"github.com/codestory/codestoryd/internal/wait"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/remote"
)

const (
	recollectEvery = 30 * time.Second
	sweepEvery     = time.Minute
)

// recollectDelays spaces the lists of a store that does not tell all: they may be long.
var recollectDelays = wait.Backoff{First: recollectEvery, Most: time.Hour}

// recollect lists the store once after a database was lost, until ctx ends: of files that are on this machine no more
// only the store can tell.
func (d *Daemon) recollect(ctx context.Context) {
	delay := recollectEvery
	for failures := 0; ; {
		if r := d.queue.Recovery(); r != nil && !r.Listed && d.uploads.Reads() {
			if err := d.recollectAll(ctx); err == nil {
				failures, delay = 0, recollectEvery
			} else if ctx.Err() == nil {
				failures++
				delay = recollectDelays.After(failures)
				d.log.Warn("the store did not tell all that the lost database knew; it is asked again", "again_in", delay.Round(time.Second), "error", err)
			}
		}
		if !wait.Sleep(ctx, delay) {
			return
		}
	}
}

// recollectAll ends with an error where the store did not tell all. What is wrong with one object holds up no other.
func (d *Daemon) recollectAll(ctx context.Context) error {
	lister, ok := d.remote.(remote.Lister)
	if !ok {
		return d.queue.NoteListed()
	}
	found, untold := 0, error(nil)
	for l, err := range d.list(ctx, lister, codestory.KeyPrefix) {
		if err != nil {
			return err
		}
		if _, err := d.queue.File(l.path); !errors.Is(err, codestory.ErrNotFound) {
			continue
		}
		switch err := d.find(ctx, l.path); {
		case err == nil:
			found++
		case errors.Is(err, codestory.ErrNotFound):
		case errors.Is(err, codestory.ErrUnavailable) && ctx.Err() == nil && d.uploads.Reads():
			untold = err
		default:
			return err
		}
	}
	if found > 0 {
		d.log.Info("the store was listed for what the lost database knew", "found", found)
	}
	if untold != nil {
		return untold
	}
	return d.queue.NoteListed()
}

// sweep looks, every minute until ctx ends, after what nothing else comes back to: objects of deleted stories, and stories
// without an owner.
func (d *Daemon) sweep(ctx context.Context) {
	unowned := ""
	for ok := true; ok; ok = wait.Sleep(ctx, sweepEvery) {
		var err error
		if unowned, err = d.readOwners(ctx, unowned); err != nil && ctx.Err() == nil {
			d.log.Warn("whose some stories are could not be read; it is tried again", "error", err)
		}
		if d.uploads.Reads() {
			if err := d.removeObjects(ctx, ""); err != nil && ctx.Err() == nil {
				d.log.Warn("objects of deleted stories could not be deleted; it is tried again", "error", err)
			}
		}
	}
}
