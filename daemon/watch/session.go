package watch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// foundBatch is how many files of a scan the sink is asked about at a time.
	foundBatch = 1000
	// Scans that are asked for keep a distance, as long as the last one took, within these bounds.
	minScanGap = 200 * time.Millisecond
	maxScanGap = 30 * time.Second
)

var (
	// errNoEvents ends a session that could not open a notifier: the next one tries again.
	errNoEvents = errors.New("no file events")
	// errRootGone ends a session whose directory is not there, or another one.
	errRootGone = errors.New("the directory has to be opened again")
)

// session watches the output directory for as long as it stays the same one.
type session struct {
	w       *Watcher
	dirs    *dirs // nil without events
	inbox   *inbox
	newDirs *dirQueue
	rescan  chan struct{} // holds a token while a scan is asked for
	look    chan struct{} // holds a token when the root may be gone
	gone    chan struct{} // holds a token when it is, though another may be in its place

	mu        sync.Mutex
	uncovered bool // there are directories that could not be watched
	failed    bool // one could not since the latest scan began
}

// runSession watches until ctx ends, with nil, or until the directory has to be opened again.
func (w *Watcher) runSession(ctx context.Context) error {
	s := &session{
		w:       w,
		inbox:   newInbox(),
		newDirs: newDirQueue(),
		rescan:  make(chan struct{}, 1),
		look:    make(chan struct{}, 1),
		gone:    make(chan struct{}, 1),
	}
	n, err := w.notify()
	if err != nil {
		w.report(problemWatchLimit, "nothing can be watched, so it is scanned instead: "+limitHint(err))
		w.setSession(s)
		defer w.setSession(nil)
		return all(ctx, s.scanAgain, s.watchRoot)
	}
	s.dirs = newDirs(n, w.tree.Dir())
	w.setSession(s)
	defer w.setSession(nil)

	pumped := make(chan struct{})
	go func() {
		defer close(pumped)
		s.inbox.pump(n)
	}()
	err = all(ctx, s.scanAgain, s.watchRoot, s.follow, s.explore)
	closeErr := n.Close() // not before the others are done: they may wait for the notifier, and it for the pump
	<-pumped
	return errors.Join(err, closeErr)
}

// watched is the number of directories that are watched.
func (s *session) watched() int {
	if s.dirs == nil {
		return 0
	}
	return s.dirs.len()
}

// polling reports whether there are directories that only the scan looks at.
func (s *session) polling() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dirs == nil || s.uncovered
}

// watchRoot returns an error once the output directory is gone or another one.
func (s *session) watchRoot(ctx context.Context) error {
	ticker := time.NewTicker(s.w.rootEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		case <-s.look:
		case <-s.gone: // it may have been made anew with the inode of the old one, which looks the same
			return errRootGone
		}
		if err := s.w.tree.Check(); err != nil {
			return fmt.Errorf("%w: %w", errRootGone, err)
		}
	}
}

// scanAgain scans at once, then on the timer and whenever it is asked for.
func (s *session) scanAgain(ctx context.Context) error {
	for {
		begun := time.Now()
		if err := s.scan(ctx); err != nil {
			return err
		}
		ended := time.Now()
		every := s.w.opts.ScanEvery
		if s.polling() {
			every = min(every, s.w.pollEvery, pollAfter(ended.Sub(begun)))
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
			gap := min(max(ended.Sub(begun), minScanGap), maxScanGap)
			if !pause(ctx, time.Until(ended.Add(gap))) {
				return nil
			}
		}
	}
}

// pollAfter is how long to wait after a scan that took that long, where scans have to do what events cannot: as often
// as costs a fiftieth of the time.
func pollAfter(took time.Duration) time.Duration { return max(50*took, 2*time.Second) }

// scan looks at the whole directory.
func (s *session) scan(ctx context.Context) error {
	var unreadable unreadable
	began := time.Now()
	s.beginScan()
	err := s.walk(ctx, &unreadable, func(w *walker) error { return w.tree(s.w.tree) })
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		s.w.report(problemScanFailed, fmt.Sprintf("a scan broke off: %v; it begins again", err))
		return err
	}
	s.endScan()
	if message := unreadable.message(); message != "" {
		s.w.report(problemDirUnreadable, message)
	} else {
		s.w.problems.Clear(problemDirUnreadable)
	}
	s.w.scanned(began)
	return nil
}

func (s *session) beginScan() {
	if s.dirs == nil {
		return
	}
	s.dirs.begin()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed = false
}

// endScan sums up what a scan that reached its end says of the watches.
func (s *session) endScan() {
	s.w.problems.Clear(problemScanFailed)
	if s.dirs == nil {
		return
	}
	s.w.problems.Clear(problemEventsLost)
	s.dirs.sweep()
	s.mu.Lock()
	s.uncovered = s.failed
	s.mu.Unlock()
	if !s.polling() {
		s.w.problems.Clear(problemWatchLimit)
	}
}

// walk runs a walk that watches every directory before it is read, and lets the files settle that the sink does not
// know.
func (s *session) walk(ctx context.Context, unreadable *unreadable, run func(*walker) error) error {
	var batch []Change
	flush := func() error {
		files := batch
		batch = nil
		if len(files) == 0 {
			return nil
		}
		return s.w.found(ctx, files)
	}
	err := run(&walker{ctx: ctx, rules: s.w.opts.Rules, enter: s.cover, fn: func(e Entry) error {
		switch {
		case e.Err != nil:
			unreadable.add(e)
		case e.Ignored == "" || e.Path != "":
			batch = append(batch, Change{Name: e.Name, Path: e.Path, Version: e.Version, Fault: e.Fault})
			if len(batch) == foundBatch {
				return flush()
			}
		}
		return nil
	}})
	if err != nil {
		return err
	}
	return flush()
}

// cover has the directory watched. One that cannot be is left to scans, which are frequent from then on.
func (s *session) cover(name string, info os.FileInfo) {
	if s.dirs == nil {
		return
	}
	err := s.dirs.watch(name, fileIDOf(info))
	switch {
	case err == nil, absent(err), errors.Is(err, fsnotify.ErrClosed):
		return // one that is gone needs no watch
	case errors.Is(err, fs.ErrPermission):
		return // it cannot be read either, which is a problem of its own
	}
	s.mu.Lock()
	s.uncovered, s.failed = true, true
	s.mu.Unlock()
	s.w.report(problemWatchLimit, fmt.Sprintf(
		"some directories, such as %q, cannot be watched, and are scanned instead: %s", name+"/", limitHint(err)))
}

// explore reads new directories, with everything that is in them already.
func (s *session) explore(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.newDirs.ready:
		}
		for name, ok := s.newDirs.take(); ok && ctx.Err() == nil; name, ok = s.newDirs.take() {
			s.exploreDir(ctx, name)
		}
	}
}

func (s *session) exploreDir(ctx context.Context, name string) {
	if s.dirs.has(name) {
		return // whoever had it watched reads it
	}
	covered := !s.polling()
	var unreadable unreadable
	err := s.walk(ctx, &unreadable, func(w *walker) error { return w.subtree(s.w.tree, name) })
	if ctx.Err() != nil {
		return
	}
	if message := unreadable.message(); message != "" {
		s.w.report(problemDirUnreadable, message)
	}
	if err != nil || covered && s.polling() {
		signal(s.rescan)
	}
}

// unreadable counts directories that cannot be read.
type unreadable struct {
	count int
	first Entry
}

func (u *unreadable) add(e Entry) {
	if u.count == 0 {
		u.first = e
	}
	u.count++
}

// message is for people; "" where all could be read.
func (u *unreadable) message() string {
	switch u.count {
	case 0:
		return ""
	case 1:
		return fmt.Sprintf("the directory %q cannot be read: %v; nothing in it is uploaded", u.first.Name, u.first.Err)
	default:
		return fmt.Sprintf("%d directories cannot be read, such as %q: %v; nothing in them is uploaded",
			u.count, u.first.Name, u.first.Err)
	}
}
