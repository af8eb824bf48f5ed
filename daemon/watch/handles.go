package watch

import (
	"os"
	"sync"
	"time"
)

const (
	// keepOpen is how long a directory stays open at least that was looked into, and twice that at most.
	keepOpen = 50 * time.Millisecond
	// maxHandles bounds the directories that are kept open beside those in use.
	maxHandles = 64
)

// handles keeps directories open for a moment after a look into them, since players look again and again. A handle is
// used only where every directory on the way to it is found to be the one that was opened, and no symlink: it saves the
// opening, and nothing of the looking. A moment after the last look none is open, so that the file system can be
// unmounted.
type handles struct {
	mu     sync.Mutex
	dirs   map[string]*handle // by their names in the tree; "" is the output directory
	looked bool               // into one, since the timer was set
	timer  *time.Timer        // nil while none is kept
}

// handle is an open directory. It is closed once it is not kept and nobody uses it any more.
type handle struct {
	*os.Root
	info  os.FileInfo
	owner *handles
	users int  // guarded by owner.mu
	kept  bool // guarded by owner.mu
}

// Close ends one use of the handle.
func (h *handle) Close() error {
	h.owner.mu.Lock()
	defer h.owner.mu.Unlock()
	h.users--
	return h.closeUnused()
}

// closeUnused closes the directory where it is time to. The caller holds owner.mu.
func (h *handle) closeUnused() error {
	if h.kept || h.users > 0 {
		return nil
	}
	return h.Root.Close()
}

// get is the directory kept under name, in use, where that is the one that info describes. While it is open no other can
// be given its inode number.
func (s *handles) get(name string, info os.FileInfo) *handle {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.dirs[name]
	if h == nil || !info.IsDir() || !os.SameFile(h.info, info) {
		return nil
	}
	h.users++
	s.looked = true
	return h
}

// add makes an open directory a handle, in use once, and keeps it under name.
func (s *handles) add(name string, root *os.Root, info os.FileInfo) *handle {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := &handle{Root: root, info: info, owner: s, users: 1, kept: true}
	if old := s.dirs[name]; old != nil {
		s.letGo(name, old)
	}
	if len(s.dirs) >= maxHandles {
		s.letGoAll()
	}
	if s.dirs == nil {
		s.dirs = map[string]*handle{}
	}
	s.dirs[name] = h
	if s.timer == nil {
		s.timer = time.AfterFunc(keepOpen, s.expire)
	}
	return h
}

// expire lets go of the handles once nobody has looked for a while.
func (s *handles) expire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.looked {
		s.looked = false
		s.timer.Reset(keepOpen)
		return
	}
	s.timer = nil
	s.letGoAll()
}

// forget keeps none any more that was opened before.
func (s *handles) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.letGoAll()
}

func (s *handles) letGoAll() {
	for name, h := range s.dirs {
		s.letGo(name, h)
	}
}

// letGo keeps the handle no more. Closing a directory that was only read fails in no way that matters.
func (s *handles) letGo(name string, h *handle) {
	delete(s.dirs, name)
	h.kept = false
	_ = h.closeUnused()
}
