package watch

import (
	"context"
	"errors"
	"fmt"
	"path"
	"runtime"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/codestory/codestoryd"
)

// notifier reports changes in the directories that were added to it. It is fsnotify's watcher; tests inject faults.
type notifier interface {
	Add(dir string) error
	Remove(dir string) error
	Events() <-chan fsnotify.Event
	Errors() <-chan error
	Close() error
}

type fsnotifier struct{ *fsnotify.Watcher }

func (n fsnotifier) Events() <-chan fsnotify.Event { return n.Watcher.Events }
func (n fsnotifier) Errors() <-chan error          { return n.Watcher.Errors }

func openNotifier() (notifier, error) {
	n, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	return fsnotifier{n}, nil
}

// eventBuffer is how many events may wait to be handled. If there are more they are lost, and a scan makes up for it.
const eventBuffer = 1 << 15

// readEvents moves events from the notifier into the buffer until the notifier is closed. The notifier holds its locks
// while it waits to deliver one, so the goroutine that adds and removes directories must not be the one that receives.
func (s *session) readEvents(n notifier) {
	defer close(s.events)
	faults := n.Errors()
	for {
		select {
		case event, ok := <-n.Events():
			if !ok {
				return
			}
			select {
			case s.events <- event:
			default:
				s.eventsLost(fsnotify.ErrEventOverflow)
			}
		case err, ok := <-faults:
			switch {
			case !ok:
				faults = nil
			case runtime.GOOS == "linux" && errors.Is(err, syscall.EINVAL):
				// It removed a watch that the kernel had already dropped, with its directory.
			default:
				s.eventsLost(err)
			}
		}
	}
}

func (s *session) eventsLost(err error) {
	select {
	case s.lost <- err:
	default: // one is enough for a scan
	}
}

// follow handles the events and, at intervals, what no event reports: whether the output directory is still there, and
// whether directories can be read again. It returns an error once the session cannot go on.
func (s *session) follow(ctx context.Context) error {
	root := time.NewTicker(s.w.rootEvery)
	defer root.Stop()
	retry := time.NewTimer(s.w.retryEvery)
	defer retry.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case event, ok := <-s.events:
			if !ok {
				s.w.report(problemEventsLost, "the system's file events ended; they are requested again")
				return errEventsEnded
			}
			err = s.event(ctx, event)
		case lost := <-s.lost:
			s.w.report(problemEventsLost, fmt.Sprintf(
				"file events may have been lost (%v); the directory is scanned again", lost))
			signal(s.rescan)
		case <-root.C:
			err = s.checkRoot()
		case <-retry.C:
			began := time.Now()
			s.retryUnreadable(ctx)
			retry.Reset(max(s.w.retryEvery, scanPause*time.Since(began)))
		}
		if err != nil {
			return err
		}
	}
}

func (s *session) checkRoot() error {
	if err := s.w.tree.Check(); err != nil {
		return fmt.Errorf("%w: %w", errRootGone, err)
	}
	return nil
}

func (s *session) event(ctx context.Context, event fsnotify.Event) error {
	name := s.dirs.relative(event.Name)
	gone := event.Op&(fsnotify.Remove|fsnotify.Rename) != 0
	if name == "" {
		if gone {
			return errRootGone // the one in its place may look the same, with the inode of the old one
		}
		return s.checkRoot()
	}
	if gone && !s.dirs.drop(name) || codestory.IgnoredDir(name) != "" {
		return nil
	}
	if event.Op == fsnotify.Write && s.w.settling.touch(name) {
		return nil
	}
	info, err := peek(event.Name)
	switch {
	case err != nil && absent(cause(err)): // gone again: if it is a file that settles, the next look finds out
	case err != nil:
		s.addUnreadable(path.Dir(name), cause(err))
		s.reportUnreadable()
	case s.w.opts.Rules.excludedAbove(name) != "":
	case info.IsDir():
		known := s.dirs.has(name) && !event.Has(fsnotify.Chmod) // its rights may have changed
		if !known && s.w.opts.Rules.excluded(name, true) == "" {
			s.explore(ctx, name)
		}
	default:
		if e := fileEntry(name, info, s.w.opts.Rules); e.Ignored == "" || e.Path != "" {
			s.w.settling.add(e.change())
		}
	}
	return nil
}

// explore reads a directory that is new, or can perhaps be read now, with everything that is in it.
func (s *session) explore(ctx context.Context, name string) {
	polling := s.polling()
	s.dropUnreadable(name)
	err := s.walk(ctx, func(w *walker) error { return w.subtree(s.w.tree, name) },
		func(context.Context) {})
	if ctx.Err() != nil {
		return
	}
	s.reportUnreadable()
	if err != nil || !polling && s.polling() {
		signal(s.rescan)
	}
}
