package watch

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/codestory/codestoryd/internal/wait"
)

const (
	// scanBatch is how many files of a scan the sink gets at a time.
	scanBatch = 1000
	// maxSettling is how many files may settle before a scan waits: what it finds is on the disk, and need not be in
	// memory.
	maxSettling = 10_000
	// Requested scans keep a distance, as long as the last one took, within these bounds.
	minScanGap = 200 * time.Millisecond
	maxScanGap = 30 * time.Second
	// scanPause is the pause after work that is done in place of events, in multiples of the time it took: it may cost
	// a fiftieth of the time.
	scanPause = 50
	// maxUnreadable is how many directories are tried again at short intervals; the scan tries all.
	maxUnreadable = 1000
)

// scanLoop scans at once, then on the timer and on request.
func (s *session) scanLoop(ctx context.Context) error {
	for {
		began := time.Now()
		if err := s.scan(ctx); err != nil {
			return err
		}
		ended := time.Now()
		took := ended.Sub(began)
		every := s.w.opts.ScanEvery
		if s.polling() {
			every = min(every, s.w.pollEvery, max(scanPause*took, 2*time.Second))
		}
		timer := time.NewTimer(every)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
			if s.dirs == nil {
				return errNoEvents
			}
		case <-s.rescan:
			timer.Stop()
			gap := min(max(took, minScanGap), maxScanGap)
			if !wait.Sleep(ctx, time.Until(ended.Add(gap))) {
				return nil
			}
		}
	}
}

// scan looks at the whole directory.
func (s *session) scan(ctx context.Context) error {
	began := time.Now()
	if s.dirs != nil {
		s.dirs.beginScan()
	}
	s.mu.Lock()
	s.failed = false
	s.mu.Unlock()
	err := s.walk(ctx, func(w *walker) error { return w.tree(s.w.tree) }, s.w.waitForRoom)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		s.w.report(problemScanFailed, fmt.Sprintf("a scan stopped: %v; it starts again", err))
		return err
	}
	s.w.problems.Clear(problemScanFailed)
	if s.dirs != nil {
		s.dirs.endScan()
		s.w.problems.Clear(problemEventsLost)
	}
	s.mu.Lock()
	s.unwatched = s.failed
	s.mu.Unlock()
	if !s.polling() {
		s.w.problems.Clear(problemWatchLimit)
	}
	s.reportUnreadable()
	s.w.scanned(began)
	return nil
}

// walk runs a walk that has every directory watched before it is read, and that offers its files to the sink. between
// is called between two batches.
func (s *session) walk(ctx context.Context, run func(*walker) error, between func(context.Context)) error {
	var batch []Change
	err := run(&walker{ctx: ctx, rules: s.w.opts.Rules, enter: s.watchDir, fn: func(e Entry) error {
		switch {
		case e.Err != nil:
			s.addUnreadable(e.Name[:len(e.Name)-1], e.Err)
		case e.Ignored == "" || e.Path != "":
			batch = append(batch, e.change())
			if len(batch) == scanBatch {
				s.w.found(ctx, batch)
				batch = nil
				between(ctx)
				return ctx.Err()
			}
		}
		return nil
	}})
	if err == nil && len(batch) > 0 {
		s.w.found(ctx, batch)
	}
	return err
}

// found offers files of a scan to the sink, which knows most of them. What it does not take settles.
func (w *Watcher) found(ctx context.Context, files []Change) {
	if err := w.sink.Finished(ctx, files, w.restsUnwritten); err != nil && ctx.Err() == nil {
		w.reportHandOver(err)
		for _, c := range files {
			w.settling.addFound(c)
		}
	}
}

// waitForRoom waits while very many files settle.
func (w *Watcher) waitForRoom(ctx context.Context) {
	for w.settling.len() >= maxSettling && wait.Sleep(ctx, 100*time.Millisecond) {
	}
}

// restsUnwritten reports whether a file that the sink does not know is finished: its own times are old enough, and
// nobody has it open for writing. If not, it settles.
func (w *Watcher) restsUnwritten(c Change) bool {
	v, answer, err := w.probe(c.Name)
	if err == nil && v == c.Version && answer != writersSome && time.Since(changed(v)) >= w.opts.Settle {
		return true
	}
	w.settling.addFound(c)
	return false
}

// addUnreadable notes that the directory cannot be read: it is tried again soon.
func (s *session) addUnreadable(name string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.unreadable[name]; known || len(s.unreadable) < maxUnreadable {
		s.unreadable[name] = err
	}
}

func (s *session) dropUnreadable(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.unreadable, name)
}

// retryUnreadable reads the directories that could not be read, if they can be by now.
func (s *session) retryUnreadable(ctx context.Context) {
	s.mu.Lock()
	names := slices.Collect(maps.Keys(s.unreadable))
	s.mu.Unlock()
	for _, name := range names {
		if ctx.Err() == nil {
			s.explore(ctx, name)
		}
	}
}

// reportUnreadable reports the directories that cannot be read now, if there are any.
func (s *session) reportUnreadable() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.unreadable) == 0 {
		s.w.problems.Clear(problemDirUnreadable)
		return
	}
	first := slices.Min(slices.Collect(maps.Keys(s.unreadable)))
	which := fmt.Sprintf("the directory %q cannot be read: %v; nothing in it is uploaded",
		first+"/", s.unreadable[first])
	if n := len(s.unreadable); n > 1 {
		which = fmt.Sprintf("%d directories cannot be read, such as %q: %v; nothing in them is uploaded",
			n, first+"/", s.unreadable[first])
	}
	s.w.report(problemDirUnreadable, which)
}
