package atomicfile

import (
	"io/fs"
	"os"
	"sync"
	"time"
)

// Follower notices that somebody has changed small files, or the rights to them. The zero value is of no files; make one with Follow.
type Follower struct {
	paths []string
	every time.Duration

	mu     sync.Mutex
	looked time.Time
	seen   []fs.FileInfo // nil for a file that was not there
	young  bool          // a file was so young that the next change may leave its times as they are
}

// Follow follows files, looking at the disk at most once in every.
func Follow(every time.Duration, paths ...string) *Follower {
	return &Follower{paths: paths, every: every, seen: make([]fs.FileInfo, len(paths))}
}

// settled is how old a file's time has to be for the next change to show in it: file systems count in up to 2 s.
const settled = 2 * time.Second

// Changed reports whether a file may have been changed, made or removed since the last call that said so. The first
// call says so for files that are there. All that use a Follower may call it at the same time; one of them is told.
func (f *Follower) Changed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	if !f.looked.IsZero() && now.Sub(f.looked) < f.every {
		return false
	}
	f.looked = now
	changed := f.young
	f.young = false
	for i, path := range f.paths {
		info, err := os.Stat(path)
		if err != nil {
			info = nil
		}
		if !same(f.seen[i], info) {
			changed = true
		}
		f.seen[i] = info
		if info != nil && now.Sub(info.ModTime()).Abs() < settled {
			f.young = true
		}
	}
	return changed
}

func same(a, b fs.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size() && a.Mode() == b.Mode()
}
