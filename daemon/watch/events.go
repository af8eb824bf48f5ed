package watch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/fsnotify/fsnotify"

	"github.com/codestory/codestoryd"
)

// follow acts on the events.
func (s *session) follow(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.inbox.ready:
		}
		events, fault := s.inbox.take()
		for _, event := range events {
			s.event(event)
		}
		switch {
		case errors.Is(fault, errEventsEnded):
			s.w.report(problemEventsLost, "the system's file events ended; they are asked for again")
			return fault
		case fault != nil:
			s.w.report(problemEventsLost, fmt.Sprintf(
				"file events may have been lost (%v); the directory is scanned again", fault))
			signal(s.rescan)
		}
	}
}

func (s *session) event(event fsnotify.Event) {
	name := s.relative(event.Name)
	if name == "" {
		switch {
		case event.Op&(fsnotify.Remove|fsnotify.Rename) != 0:
			signal(s.gone)
		case event.Has(fsnotify.Chmod):
			signal(s.look)
		}
		return
	}
	dropped := event.Op&(fsnotify.Remove|fsnotify.Rename) != 0 && s.dirs.drop(name)
	if !dropped && event.Op&(fsnotify.Create|fsnotify.Write|fsnotify.Chmod) == 0 || codestory.IgnoredDir(name) != "" {
		return
	}
	if event.Op == fsnotify.Write && s.w.pending.touch(name) {
		return
	}
	info, err := s.w.tree.lstat(name)
	switch {
	case err != nil: // gone again; a file that settles is forgotten when it is due
	case info.IsDir():
		if !s.dirs.has(name) && s.wanted(name) {
			s.newDirs.put(name)
		}
	default:
		s.file(name, info)
	}
}

// wanted reports whether the user's rules leave the directory in; it is in a story's folder.
func (s *session) wanted(dir string) bool {
	rules := s.w.opts.Rules
	return rules.excluded(dir, true) == "" && rules.excludedAbove(dir) == ""
}

// file lets a file settle that something happened to.
func (s *session) file(name string, info os.FileInfo) {
	rules := s.w.opts.Rules
	e := fileEntry(name, info, rules)
	if (e.Ignored == "" || e.Path != "") && rules.excludedAbove(name) == "" {
		s.w.pending.add(Change{Name: e.Name, Path: e.Path, Version: e.Version, Fault: e.Fault})
	}
}

// relative is the name in the tree of what an event is about; "" for the root.
func (s *session) relative(name string) string {
	name = strings.TrimPrefix(name, s.dirs.base)
	return strings.TrimPrefix(filepath.ToSlash(name), "/")
}
