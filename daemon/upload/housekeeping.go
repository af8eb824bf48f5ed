package upload

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/internal/wait"
	"github.com/codestory/codestoryd/queue"
	"github.com/codestory/codestoryd/remote"
)

const (
	sweepEvery = time.Minute
	sweepBatch = 1000
)

// sweep clears away, every minute until ctx ends, what nothing else comes back to: records of files that are gone, and
// uploads in parts that nobody will go on with.
func (p *Pipeline) sweep(ctx context.Context) {
	tried, resting := map[string]abortTried{}, ""
	for ok := true; ok; ok = wait.Sleep(ctx, sweepEvery) {
		var err error
		if resting, err = p.sweepRecords(resting); err != nil && ctx.Err() == nil {
			p.log.Warn("records of files that are gone could not be cleared away; it is tried again", "error", err)
		}
		if err := p.abortAbandoned(ctx, tried); err != nil && ctx.Err() == nil {
			p.log.Warn("an abandoned upload could not be aborted; it is tried again", "error", err)
		}
	}
}

// sweepRecords forgets files that rest in the queue and are gone, as a file is that was renamed because its name could
// not be stored. What has to settle anew is handed to the watcher, which may have been stopped before it could. Of many it looks at some, those after resting, and
// returns where to go on.
func (p *Pipeline) sweepRecords(resting string) (next string, err error) {
	settling, others, next, err := p.queue.Resting(sweepBatch, resting)
	if err != nil {
		return "", err
	}
	for _, path := range slices.Concat(settling, others) {
		if !p.tree.Original() || p.tree.Empty() { // what is missing may be back with the first, or once it is mounted
			break
		}
		if _, err := p.tree.Stat(codestory.Path(path)); errors.Is(err, codestory.ErrNotFound) {
			if err := p.queue.Vanished(path); err != nil {
				return resting, err
			}
		}
	}
	for _, path := range settling {
		p.recheck(codestory.Path(path))
	}
	return next, nil
}

// abortTried is what became of an abandoned upload in the sweep before; its zero value is that of a new one.
type abortTried int

const (
	abortedOnce  abortTried = 1
	abortRefused abortTried = 2
)

// abortAbandoned aborts the uploads of the queue's ledger, which names ours only: each in two sweeps, because a part
// that was on its way may outlive the first abort (AbortMultipartUpload in the API reference of Amazon S3). It ends with
// the first that the store refuses, which comes after all others from then on.
func (p *Pipeline) abortAbandoned(ctx context.Context, tried map[string]abortTried) error {
	aborter, ok := p.store.(remote.Aborter)
	if !ok || !p.breaker.reads() {
		return nil
	}
	uploads, err := p.queue.Abandoned(sweepBatch)
	if err != nil {
		return err
	}
	name := func(u queue.Upload) string { return string(u.Path) + "\x00" + string(u.State) }
	slices.SortStableFunc(uploads, func(a, b queue.Upload) int {
		return cmp.Compare(tried[name(a)], tried[name(b)])
	})
	for _, u := range uploads {
		if err := aborter.Abort(ctx, u.Path.Key(), u.State); err != nil {
			tried[name(u)] = abortRefused
			return err
		}
		if tried[name(u)] != abortedOnce {
			tried[name(u)] = abortedOnce
			continue
		}
		delete(tried, name(u))
		if err := p.queue.Forget(u); err != nil {
			return err
		}
	}
	return nil
}
