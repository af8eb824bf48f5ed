package watch

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/codestory/codestoryd"
)

const (
	// maxBatch is how many changes one call of Settled gets.
	maxBatch = 500
	// A file that is held open for writing is looked at again after firstProbe, then after twice as long each time.
	firstProbe = 50 * time.Millisecond
	lastProbe  = 2 * time.Second
	// A file that cannot be looked at, and a sink that fails, are tried again likewise.
	firstRetry = 250 * time.Millisecond
	lastRetry  = 30 * time.Second
)

// reasonHeld is why a file that does not change is still settling.
const reasonHeld = "held open for writing"

// writers says whether somebody has a file open for writing.
type writers int

const (
	writersUnknown writers = iota // this system, file system or user cannot tell
	writersNone
	writersSome
)

// settleFiles looks at the pending files when they are due, and hands on those that are finished, until ctx ends.
func (w *Watcher) settleFiles(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		looks, wait := w.pending.take(maxBatch)
		if len(looks) > 0 {
			w.handOn(ctx, w.finished(looks))
			continue
		}
		timer.Stop()
		if wait >= 0 {
			timer.Reset(wait)
		}
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-w.pending.wake:
		}
	}
	return nil
}

// finished looks at the files, keeps those that are finished, and puts the others back.
func (w *Watcher) finished(looks []look) []look {
	finished := looks[:0]
	for _, l := range looks {
		if w.lookAt(&l) {
			finished = append(finished, l)
		}
	}
	return finished
}

// lookAt reports whether the file is finished, as l.version; where not it has been put back, or forgotten.
func (w *Watcher) lookAt(l *look) bool {
	v, err := w.tree.version(l.name)
	now := time.Now()
	switch {
	case errors.Is(err, codestory.ErrNotFound), errors.Is(err, ErrDirMissing):
		w.pending.done(*l)
		return false
	case err != nil:
		l.delay = grow(l.delay, firstRetry, lastRetry)
		w.pending.putBack(*l, err.Error())
		return false
	case l.since.IsZero() || v != l.version:
		l.version, l.since, l.delay = v, now, 0
	}
	if now.Sub(l.since) < w.opts.Settle && (l.recheck || !quiet(v, now, w.opts.Settle)) {
		l.delay = 0
		w.pending.putBack(*l, "")
		return false
	}
	writers, probed := w.probe(l.name, v)
	switch {
	case probed != v:
		l.version, l.since, l.delay = probed, now, 0
		w.pending.putBack(*l, "")
		return false
	case writers == writersSome:
		l.delay = grow(l.delay, firstProbe, lastProbe)
		w.pending.putBack(*l, reasonHeld)
		return false
	}
	return true
}

// probe says whether somebody has the file open for writing, and as which version it was seen after that. A file that
// this user may not open cannot be probed: it stays at v.
func (w *Watcher) probe(name string, v codestory.Version) (writers, codestory.Version) {
	f, err := w.tree.open(name)
	if err != nil {
		if errors.Is(err, syscall.EAGAIN) { // somebody holds an exclusive lease on it
			return writersSome, v
		}
		return writersUnknown, v
	}
	defer f.Close()
	answer := writersOf(f.file)
	info, err := f.file.Stat()
	if err != nil {
		return writersUnknown, v
	}
	return answer, versionOf(info)
}

// grow is the delay after this one: twice as long, from first to last.
func grow(delay, first, last time.Duration) time.Duration { return min(max(2*delay, first), last) }

// handOn gives the finished files to the sink and forgets them, except those that the sink knows already: they are
// forgotten at once. Where the sink fails all stay, and nothing else happens until it may be tried again.
func (w *Watcher) handOn(ctx context.Context, finished []look) {
	if len(finished) == 0 {
		return
	}
	err := w.settled(ctx, finished)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		for _, l := range finished {
			l.delay = 0
			w.pending.putBack(l, "")
		}
		w.problems.set(problemHandOver,
			fmt.Sprintf("finished files cannot be recorded: %v; they are kept, and tried again", err))
		w.sinkDelay = grow(w.sinkDelay, firstRetry, lastRetry)
		pause(ctx, w.sinkDelay)
		return
	}
	w.sinkDelay = 0
	w.problems.clear(problemHandOver)
	for _, l := range finished {
		w.pending.done(l)
	}
}

func (w *Watcher) settled(ctx context.Context, finished []look) error {
	var ask, send []Change
	for _, l := range finished {
		c := Change{Name: l.name, Path: l.file.path, Version: l.version, Fault: l.file.fault}
		if l.recheck {
			send = append(send, c)
		} else {
			ask = append(ask, c)
		}
	}
	if len(ask) > 0 {
		unknown, err := w.sink.Unknown(ctx, ask)
		if err != nil {
			return err
		}
		send = append(send, unknown...)
	}
	if len(send) == 0 {
		return nil
	}
	return w.sink.Settled(ctx, send)
}

// found lets the files of a scan settle that the sink does not know, once there is room for them. It does not return
// before the sink has answered, or ctx has ended: that is its error.
func (w *Watcher) found(ctx context.Context, files []Change) error {
	var delay time.Duration
	for {
		unknown, err := w.sink.Unknown(ctx, files)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil {
			w.problems.clear(problemLookUp)
			return w.admit(ctx, unknown)
		}
		w.problems.set(problemLookUp,
			fmt.Sprintf("what is known of the files cannot be read: %v; the scan waits", err))
		delay = grow(delay, firstRetry, lastRetry)
		pause(ctx, delay)
	}
}

// admit lets the files settle once there is room for them.
func (w *Watcher) admit(ctx context.Context, files []Change) error {
	if err := w.pending.waitForRoom(ctx); err != nil {
		return err
	}
	for _, c := range files {
		w.pending.add(c)
	}
	return nil
}

// pause waits, or returns false when ctx ends first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
