package watch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sync/errgroup"
)

var (
	// errNoEvents ends a session without a notifier, so that the next one tries to open one.
	errNoEvents = errors.New("no file events")
	// errEventsEnded ends a session whose notifier reports nothing any more.
	errEventsEnded = errors.New("the system's file events ended")
	// errRootGone ends a session whose directory is gone, or another one.
	errRootGone = errors.New("the directory has to be opened again")
)

// session watches the output directory for as long as it stays the same one. Two goroutines share it: one scans, the
// other follows the events.
type session struct {
	w      *Watcher
	dirs   *dirs // nil without events
	events chan fsnotify.Event
	lost   chan error    // has a reason if events may have been lost
	rescan chan struct{} // has a token if a scan was requested

	mu         sync.Mutex
	unwatched  bool             // some directories could not be watched
	failed     bool             // one could not be since the latest scan began
	unreadable map[string]error // why directories cannot be read; at most maxUnreadable
}

// newSession makes a session of the notifier's events; without events if it is nil.
func (w *Watcher) newSession(n notifier) *session {
	s := &session{
		w:          w,
		lost:       make(chan error, 1),
		rescan:     make(chan struct{}, 1),
		unreadable: map[string]error{},
	}
	if n != nil {
		s.dirs, s.events = newDirs(n, w.tree.Dir()), make(chan fsnotify.Event, eventBuffer)
	}
	return s
}

// runSession watches until ctx ends, or until the directory or the notifier has to be opened again.
func (w *Watcher) runSession(ctx context.Context) error {
	n, err := w.notify()
	if err != nil {
		w.report(problemWatchLimit, "nothing can be watched, so it is scanned instead: "+limitHint(err))
	}
	s := w.newSession(n)
	w.setSession(s)
	defer w.setSession(nil)
	group, inner := errgroup.WithContext(ctx)
	group.Go(func() error { return s.scanLoop(inner) })
	group.Go(func() error { return s.follow(inner) })
	if n == nil {
		return group.Wait()
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		s.readEvents(n)
	}()
	err = group.Wait()
	closeErr := n.Close() // only now: the others may wait for the notifier, and it for readEvents
	<-read
	return errors.Join(err, closeErr)
}

// watched is the number of directories that are watched.
func (s *session) watched() int {
	if s.dirs == nil {
		return 0
	}
	return s.dirs.len()
}

// polling reports whether there are directories that only scans look at.
func (s *session) polling() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dirs == nil || s.unwatched
}

// watchDir has the directory watched. If it cannot be, scans are frequent from then on.
func (s *session) watchDir(name string, info os.FileInfo) {
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
	s.unwatched, s.failed = true, true
	s.mu.Unlock()
	s.w.report(problemWatchLimit, fmt.Sprintf(
		"some directories, such as %q, cannot be watched, and are scanned instead: %s", name+"/", limitHint(err)))
}
