package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/daemon/watch"
	"github.com/codestory/codestoryd/queue"
	"github.com/codestory/codestoryd/remote"
)

// Upload claims files and stores them until soft ends; then it begins no more, lets those under way finish for a
// while, and cuts them. When hard ends it cuts them at once. What is cut waits again, untouched. A database that cannot
// be written for a while, as on a full disk, is waited for; one that is damaged is the error.
func (d *Daemon) Upload(soft, hard context.Context) error {
	soft, stop := context.WithCancel(soft)
	work, cut := context.WithCancel(hard)
	defer cut()
	stopCutting := context.AfterFunc(soft, func() {
		t := time.AfterFunc(drainTime, cut)
		context.AfterFunc(work, func() { t.Stop() })
	})
	defer stopCutting()

	var workers sync.WaitGroup
	defer workers.Wait()
	defer stop()
	workers.Go(func() { d.gate.run(soft) })
	workers.Go(func() { d.sweep(soft) })
	workers.Go(func() { d.watchLate(soft) })
	workers.Go(func() { d.watchClock(soft, time.Now) })
	workers.Go(func() { d.recollect(soft) })
	slots := newSlots(d.concurrency)
	for {
		if slots.take(soft) != nil {
			return nil
		}
		claim, permit, err := d.nextSurely(soft)
		if err != nil {
			return stopped(soft, err)
		}
		slots.fill(claim.Version.Size)
		workers.Go(func() {
			defer slots.free(claim.Version.Size)
			d.settle(work, claim, permit)
		})
	}
}

// nextSurely is next, tried again while the database cannot be used. Its error is ctx's, or queue.ErrDamaged.
func (d *Daemon) nextSurely(ctx context.Context) (claim *queue.Claim, permit *permit, err error) {
	err = d.surely(ctx, func() (err error) {
		claim, permit, err = d.next(ctx)
		return err
	})
	return claim, permit, err
}

// surely calls f until it succeeds, ctx ends or the database is damaged.
func (d *Daemon) surely(ctx context.Context, f func() error) error {
	for failures := 1; ; failures++ {
		err := f()
		if err == nil || ctx.Err() != nil || errors.Is(err, queue.ErrDamaged) {
			return err
		}
		if !sleep(ctx, databaseDelays.after(failures)) {
			return ctx.Err()
		}
	}
}

// next claims a file that may be uploaded now.
func (d *Daemon) next(ctx context.Context) (*queue.Claim, *permit, error) {
	for {
		if err := d.awaitDir(ctx); err != nil {
			return nil, nil, err
		}
		permit, err := d.gate.pass(ctx)
		if err != nil {
			return nil, nil, err
		}
		claim, err := d.queue.Next(ctx)
		if err != nil {
			permit.giveBack()
			return nil, nil, err
		}
		if permit.valid() {
			return claim, permit, nil
		}
		claim.Release()
		permit.giveBack()
	}
}

// settle uploads the claimed version and writes down what came of it. While that cannot be written the claim stays
// open, so that nothing is uploaded twice for it.
func (d *Daemon) settle(ctx context.Context, claim *queue.Claim, permit *permit) {
	ctx, done := d.running.begin(ctx, claim.Path)
	defer done()
	object, err := d.store(ctx, claim)
	outcome := d.conclude(ctx, claim, permit, object, err)
	if u, ok := errors.AsType[*remote.UnansweredError](err); ok {
		outcome.Unanswered = u.ETag
	}
	if d.surely(ctx, func() error { return claim.Finish(outcome) }) != nil {
		claim.Release()
		return
	}
	if outcome.Kind == queue.Changed {
		d.watcher.Recheck(claim.Path)
	}
}

var (
	// errGone: the file is not there any more, or not to be uploaded any more.
	errGone = errors.New("the file is gone")
	// errSuperseded: there is a newer version, or nobody wants this one any more.
	errSuperseded = errors.New("this version is not to be uploaded any more")
)

// noteSilence notes an upload that is not answered while it is waited for, so that being killed meanwhile forgets it no
// more than giving it up does.
func (d *Daemon) noteSilence(claim *queue.Claim) func(etag string) {
	return func(etag string) {
		if err := claim.Unanswered(etag); err != nil {
			d.log.Warn("an upload without an answer could not be noted", "path", claim.Path, "error", err)
		}
	}
}

// conclude tells the gate how an upload went, and returns what is to become of the claim.
func (d *Daemon) conclude(ctx context.Context, claim *queue.Claim, permit *permit, object remote.Object, err error) queue.Outcome {
	switch {
	case err == nil:
		permit.succeeded()
		d.counters.uploads.Add(1)
		return queue.Outcome{Kind: queue.Done, Object: storedObject(object)}
	case errors.Is(err, watch.ErrDirMissing):
		d.present.set(time.Time{})
		permit.giveBack()
		return queue.Outcome{Kind: queue.Released}
	case codestory.ClassOf(ctx, err) == codestory.ClassStopped, errors.Is(err, errSuperseded):
		permit.giveBack()
		return queue.Outcome{Kind: queue.Released}
	case errors.Is(err, errUnchanged):
		permit.giveBack()
		return queue.Outcome{Kind: queue.Done, Object: *claim.Stored}
	case errors.Is(err, errGone):
		permit.giveBack()
		return queue.Outcome{Kind: queue.Gone}
	case errors.Is(err, codestory.ErrChanged):
		permit.giveBack()
		return queue.Outcome{Kind: queue.Changed}
	default:
		return d.failed(ctx, claim, permit, err)
	}
}

// failed tells the gate of a fault that may be the store's, and returns when the file is to be tried again.
func (d *Daemon) failed(ctx context.Context, claim *queue.Claim, permit *permit, err error) queue.Outcome {
	log := d.log.With("path", claim.Path, "error", err)
	class := codestory.ClassOf(ctx, err)
	d.counters.failed(class)
	if _, here := errors.AsType[*readError](err); here {
		permit.giveBack()
	} else if class == codestory.ClassBlock {
		permit.succeeded() // the store is well: it said what is wrong with the file
	} else {
		permit.failed(err)
	}
	switch class {
	case codestory.ClassPause:
		return queue.Outcome{Kind: queue.Deferred}
	case codestory.ClassBlock:
		log.Warn("a file needs a person")
		return queue.Outcome{Kind: queue.Block, Reason: codestory.Hint(err)}
	default:
		delay := itemDelay(claim.Attempt)
		log.Warn("an upload failed", "attempt", claim.Attempt, "again_in", delay.Round(100*time.Millisecond))
		return queue.Outcome{Kind: queue.Retry, Due: time.Now().Add(delay), Reason: codestory.Hint(err)}
	}
}

// store puts the claimed version into the store.
func (d *Daemon) store(ctx context.Context, claim *queue.Claim) (remote.Object, error) {
	if current, err := claim.Current(); err != nil {
		return remote.Object{}, &readError{err}
	} else if !current {
		return remote.Object{}, errSuperseded
	}
	f, err := d.open(ctx, claim)
	if err != nil {
		return remote.Object{}, err
	}
	defer func() { _ = f.Close() }()
	if object, ok, err := d.already(ctx, f, claim); ok || err != nil {
		return object, err
	}
	if object, err := d.copied(ctx, claim, f); !errors.Is(err, errNoCopy) {
		return object, err
	}
	progress, done := d.beginUpload(claim)
	defer done()
	return d.remote.Put(ctx, claim.Path.Key(), source{f}, remote.PutOptions{
		ContentType: claim.Path.ContentType(),
		Ledger:      claim,
		Progress:    progress,
		Silent:      d.noteSilence(claim),
	})
}

// open opens the claimed version of the file.
func (d *Daemon) open(ctx context.Context, claim *queue.Claim) (*watch.File, error) {
	if d.rules.Exclude != nil {
		if _, excluded := d.rules.Exclude(string(claim.Path), false); excluded { // since it was enqueued
			return nil, errGone
		}
	}
	f, err := d.tree.OpenVersion(ctx, claim.Path, claim.Version)
	switch {
	case errors.Is(err, watch.ErrDirMissing), errors.Is(err, codestory.ErrChanged), ctx.Err() != nil && err != nil:
		return nil, err
	case errors.Is(err, codestory.ErrNotFound) && d.tree.Empty():
		return nil, fmt.Errorf("%w: it is empty", watch.ErrDirMissing)
	case errors.Is(err, codestory.ErrNotFound):
		return nil, errGone
	case errors.Is(err, fs.ErrPermission):
		return nil, &readError{codestory.Block("the file cannot be read: give the user that the daemon runs as the right to", err)}
	case err != nil:
		return nil, &readError{err}
	}
	if bad, ok := pathFault(claim.Path); ok {
		_ = f.Close()
		return nil, &readError{codestory.Block(bad.Reason, bad)}
	}
	return f, nil
}

// pathFault is what is wrong with the name of a file that was blocked for it, and that a person has tried again.
func pathFault(path codestory.Path) (*codestory.PathError, bool) {
	_, err := codestory.ParsePath(string(path))
	return errors.AsType[*codestory.PathError](err)
}

// readError is an error of this machine's disk: it says nothing of the store.
type readError struct{ err error }

func (e *readError) Error() string { return e.err.Error() }
func (e *readError) Unwrap() error { return e.err }

// source tells errors of reading the file from those of the store.
type source struct{ *watch.File }

func (s source) ReadAt(p []byte, off int64) (int, error) {
	n, err := s.File.ReadAt(p, off)
	if err != nil && err != io.EOF {
		err = &readError{err}
	}
	return n, err
}

// stopped makes the end of our own context no error.
func stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}
