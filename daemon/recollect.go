package daemon

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/remote"
)

const recollectEvery = 30 * time.Second

// recollect lists the store once after a database was lost, until ctx ends: of files that are on this machine no more
// only the store can tell.
func (d *Daemon) recollect(ctx context.Context) {
	tick := time.NewTicker(recollectEvery)
	defer tick.Stop()
	for {
		if r := d.queue.Rebuilt(); r != nil && !r.Listed && d.gate.reads() {
			if err := d.recollectAll(ctx); err != nil && ctx.Err() == nil {
				d.log.Warn("the store could not be listed for what the lost database knew; it is tried again", "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (d *Daemon) recollectAll(ctx context.Context) error {
	lister, ok := d.remote.(remote.Lister)
	if !ok {
		return d.queue.NoteListed()
	}
	found := 0
	for object, err := range lister.List(ctx, codestory.KeyPrefix, "") {
		if err != nil {
			return err
		}
		path, err := codestory.ParsePath(strings.TrimPrefix(object.Key, codestory.KeyPrefix))
		if err != nil {
			continue // not ours
		}
		if _, here, err := d.here(path); here || err != nil {
			continue // the scan finds it
		}
		if _, err := d.queue.File(path); !errors.Is(err, codestory.ErrNotFound) {
			continue
		}
		switch err := d.find(ctx, path); {
		case err == nil:
			found++
		case !errors.Is(err, codestory.ErrNotFound):
			return err
		}
	}
	if found > 0 {
		d.log.Info("the store was listed for what the lost database knew", "found", found)
	}
	return d.queue.NoteListed()
}
