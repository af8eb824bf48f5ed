package library

import (
	"context"
	"errors"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/internal/wait"
	"github.com/codestory/codestoryd/remote"
)

const reindexEvery = 30 * time.Second

// reindexDelays spaces the lists of a store that does not tell all: they may be long.
var reindexDelays = wait.Backoff{First: reindexEvery, Most: time.Hour}

// reindex lists the store once after a database was lost, until ctx ends: of files that are on this machine no more
// only the store can tell.
func (l *Library) reindex(ctx context.Context) {
	delay := reindexEvery
	for failures := 0; ; {
		if r := l.queue.Recovery(); r != nil && !r.Listed && l.uploads.Reads() {
			if err := l.reindexAll(ctx); err == nil {
				failures, delay = 0, reindexEvery
			} else if ctx.Err() == nil {
				failures++
				delay = reindexDelays.After(failures)
				l.log.Warn("the store did not tell all that the lost database knew; it is asked again", "again_in", delay.Round(time.Second), "error", err)
			}
		}
		if !wait.Sleep(ctx, delay) {
			return
		}
	}
}

// reindexAll ends with an error where the store did not tell all. What is wrong with one object holds up no other.
func (l *Library) reindexAll(ctx context.Context) error {
	lister, ok := l.store.(remote.Lister)
	if !ok {
		return l.queue.NoteListed()
	}
	found, untold := 0, error(nil)
	for item, err := range l.list(ctx, lister, codestory.KeyPrefix) {
		if err != nil {
			return err
		}
		if _, err := l.queue.File(item.path); !errors.Is(err, codestory.ErrNotFound) {
			continue
		}
		switch err := l.lookup(ctx, item.path); {
		case err == nil:
			found++
		case errors.Is(err, codestory.ErrNotFound):
		case errors.Is(err, codestory.ErrUnavailable) && ctx.Err() == nil && l.uploads.Reads():
			untold = err
		default:
			return err
		}
	}
	if found > 0 {
		l.log.Info("the store was listed for what the lost database knew", "found", found)
	}
	if untold != nil {
		return untold
	}
	return l.queue.NoteListed()
}
