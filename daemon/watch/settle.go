package watch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/codestory/codestoryd"
)

const (
	// maxBatch is how many changes one call of Settled gets.
	maxBatch = 500
	// patience is how many times Settle a file that is written again and again is waited for, where it can be told
	// that nobody has it open. Then it is finished as it is.
	patience = 15
	// A file that cannot be looked at, and a sink that fails, are tried again after firstRetry, then after twice as
	// long each time.
	firstRetry = 250 * time.Millisecond
	lastRetry  = 30 * time.Second
)

// reasonHeld is why a file that does not change is still settling.
const reasonHeld = "held open for writing"

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
	last, lately := w.pending.handed(l.name)
	switch {
	case errors.Is(err, codestory.ErrNotFound), errors.Is(err, ErrDirMissing),
		err == nil && !l.recheck && lately && last.version == v:
		w.pending.done(*l)
		return false
	case err != nil:
		l.delay = grow(l.delay, firstRetry, lastRetry)
		w.pending.putBack(*l, l.delay, err.Error())
		return false
	}
	l.saw(v, now)
	if l.again && !(lately && last.isRetouched(v)) {
		l.rule = byQuiet
	}
	overdue := now.Sub(l.began) >= patience*w.opts.Settle
	if l.rule == byQuiet && !overdue && !w.quietLongEnough(l, now) {
		w.pending.putBack(*l, 0, "")
		return false
	}
	v, writers, err := w.probe(l.name, v)
	switch {
	case err != nil: // it was replaced this moment, or removed
		w.pending.putBack(*l, firstProbe, "")
		return false
	case writers == writersSome:
		w.pending.putBack(*l, w.pending.nextProbe(now.Sub(l.since), now.Sub(l.began)), reasonHeld)
		return false
	case writers == writersUnknown:
		l.rule = byQuiet
	case overdue || l.rule == byWriters:
		l.version = v
		return true
	}
	l.saw(v, now)
	if w.quietLongEnough(l, now) {
		return true
	}
	w.pending.putBack(*l, 0, "")
	return false
}

// saw notes which version was seen. Another one than before is as old as the event that told of it, if one did.
func (l *look) saw(v codestory.Version, now time.Time) {
	if l.since.IsZero() || l.version != v && !l.since.After(l.before) {
		l.since = now
	}
	l.version, l.before, l.delay = v, now, 0
}

// quietLongEnough reports whether nothing has happened to the file for Settle. Of one that nothing was heard of, its
// own times may say so.
func (w *Watcher) quietLongEnough(l *look, now time.Time) bool {
	return now.Sub(l.since) >= w.opts.Settle || l.touches == 0 && quiet(l.version, now, w.opts.Settle)
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
			w.pending.putBack(l, 0, "")
		}
		w.report(problemHandOver,
			fmt.Sprintf("finished files cannot be recorded: %v; they are kept, and tried again", err))
		w.sinkDelay = grow(w.sinkDelay, firstRetry, lastRetry)
		pause(ctx, w.sinkDelay)
		return
	}
	w.sinkDelay = 0
	w.problems.Clear(problemHandOver)
	for _, l := range finished {
		w.pending.done(l)
	}
}

// settled gives the sink what it does not know, and notes in finished what that was.
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
	if err := w.sink.Settled(ctx, send); err != nil {
		return err
	}
	sent := make(map[string]bool, len(send))
	for _, c := range send {
		sent[c.Name] = true
	}
	for i := range finished {
		finished[i].sent = sent[finished[i].name]
	}
	return nil
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
			w.problems.Clear(problemLookUp)
			return w.admit(ctx, unknown)
		}
		w.report(problemLookUp,
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
