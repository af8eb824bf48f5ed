package watch

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/internal/wait"
)

// finishedBatch is how many finished files the sink gets at a time.
const finishedBatch = 500

// writers says whether somebody has a file open for writing.
type writers int

const (
	writersUnknown writers = iota // this system, file system or user cannot tell
	writersNone
	writersSome
)

// finishFiles looks at the files that settle when they are due, and hands on those that are finished, until ctx ends.
func (w *Watcher) finishFiles(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		began := time.Now()
		due, delay := w.settling.take(finishedBatch)
		took := time.Since(began)
		if len(due) > 0 {
			w.handOn(ctx, w.finishedOf(due))
			continue
		}
		timer.Stop()
		if delay >= 0 {
			timer.Reset(delay)
		}
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-w.settling.wake:
		}
		if took > time.Millisecond { // take went through very many files: not at each event
			wait.Sleep(ctx, 4*took)
		}
	}
	return nil
}

// finishedOf returns those of the files that are finished.
func (w *Watcher) finishedOf(due []*candidate) []*candidate {
	finished := due[:0]
	for _, f := range due {
		if v, answer, err := w.probe(f.Name); w.settling.judge(f, v, answer, err) {
			finished = append(finished, f)
		}
	}
	return finished
}

// probe says whether somebody has the file open for writing, and which version it is; if nobody has, as it was at that
// moment. A file that this user may not open cannot be probed: then only its times tell.
func (w *Watcher) probe(name string) (codestory.Version, writers, error) {
	path := codestory.Path(name) // it need not be one that can be a key
	f, err := w.tree.Open(path)
	if err == nil {
		defer f.Close()
		if answer, info, err := w.writersOf(f.file); err == nil {
			return versionOf(info), answer, nil
		}
	}
	v, statErr := w.tree.Stat(path)
	if errors.Is(err, syscall.EAGAIN) { // somebody holds an exclusive lease on it
		return v, writersSome, statErr
	}
	return v, writersUnknown, statErr
}

// handOn gives the finished files to the sink. Those that it refuses come again.
func (w *Watcher) handOn(ctx context.Context, finished []*candidate) {
	if len(finished) == 0 {
		return
	}
	files := make([]Change, len(finished))
	for i, f := range finished {
		files[i] = f.Change
	}
	err := w.sink.Finished(ctx, files, func(Change) bool { return true })
	switch {
	case err == nil:
		w.problems.Clear(problemHandOver)
		w.settling.taken(finished)
	case ctx.Err() == nil:
		w.reportHandOver(err)
		w.settling.refused(finished)
	}
}

func (w *Watcher) reportHandOver(err error) {
	w.report(problemHandOver,
		fmt.Sprintf("finished files cannot be recorded: %v; they are kept, and tried again", err))
}

// signal leaves a token in a channel that has room for one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
