package watch

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
)

// fileID tells directories apart whatever they are called; the zero value is that of a system without ids.
type fileID struct{ device, inode uint64 }

// dirs are the directories that are watched. It mirrors what the notifier was told, so that a directory that was renamed
// is released before it is watched under its new name: inotify knows a directory by its inode, and would report its
// events under the old name for ever.
type dirs struct {
	notify notifier
	base   string // absolute path of the output directory

	mu     sync.Mutex
	byName map[string]watchedDir
	byID   map[fileID]string
	below  map[string]int // how many are watched below a directory, for each that has any
	round  uint32         // of the scan that is running, or of the last one
}

type watchedDir struct {
	id    fileID
	round uint32 // in which it was last found
}

func newDirs(notify notifier, base string) *dirs {
	return &dirs{
		notify: notify, base: base,
		byName: map[string]watchedDir{}, byID: map[fileID]string{}, below: map[string]int{},
	}
}

// watch makes sure that the directory is watched. It tells the notifier even about one that already is: what it knows
// may be about a directory that was removed since.
func (d *dirs) watch(name string, id fileID) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if other, ok := d.byID[id]; ok && other != name {
		d.release(other)
	}
	if old, ok := d.byName[name]; ok && old.id != id {
		d.unwatch(name)
	}
	if err := d.notify.Add(d.path(name)); err != nil {
		return err
	}
	if _, known := d.byName[name]; !known {
		d.count(name, 1)
	}
	d.byName[name] = watchedDir{id, d.round}
	if id != (fileID{}) {
		d.byID[id] = name
	}
	return nil
}

// has reports whether the directory is watched.
func (d *dirs) has(name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, ok := d.byName[name]
	return ok
}

// drop releases the directory and all below it, and reports whether there were any.
func (d *dirs) drop(name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.release(name)
}

// beginScan begins a round: the directories found until endScan are those that exist.
func (d *dirs) beginScan() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.round++
}

// endScan releases the directories that were not found since beginScan.
func (d *dirs) endScan() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for name, dir := range d.byName {
		if dir.round != d.round {
			d.unwatch(name)
		}
	}
}

// len is the number of directories that are watched.
func (d *dirs) len() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.byName)
}

func (d *dirs) release(name string) bool {
	dropped := d.unwatch(name)
	if d.below[name] == 0 {
		return dropped
	}
	for other := range d.byName {
		if strings.HasPrefix(other, name+"/") {
			d.unwatch(other)
		}
	}
	return true
}

func (d *dirs) unwatch(name string) bool {
	dir, ok := d.byName[name]
	if !ok {
		return false
	}
	// The notifier has already dropped what was removed or renamed, and answers with an error.
	_ = d.notify.Remove(d.path(name))
	delete(d.byName, name)
	d.count(name, -1)
	if d.byID[dir.id] == name {
		delete(d.byID, dir.id)
	}
	return true
}

// count adds n to what is below each directory above name.
func (d *dirs) count(name string, n int) {
	for i := range len(name) {
		if name[i] != '/' {
			continue
		}
		if d.below[name[:i]] += n; d.below[name[:i]] == 0 {
			delete(d.below, name[:i])
		}
	}
}

func (d *dirs) path(name string) string { return filepath.Join(d.base, filepath.FromSlash(name)) }

// relative is the name in the tree of what an event is about; "" is the root.
func (d *dirs) relative(path string) string {
	return strings.TrimPrefix(filepath.ToSlash(strings.TrimPrefix(path, d.base)), "/")
}

// limitHint says how to raise the limit that err is about.
func limitHint(err error) string {
	const keep = "; write the line into a file of /etc/sysctl.d to keep it after a restart of the machine"
	switch linux := runtime.GOOS == "linux"; {
	case linux && errors.Is(err, syscall.ENOSPC):
		return "no inotify watches are left: raise fs.inotify.max_user_watches, for example with " +
			"`sudo sysctl fs.inotify.max_user_watches=1048576`" + keep
	case linux && errors.Is(err, syscall.EMFILE):
		return "no inotify instance is left: raise fs.inotify.max_user_instances, for example with " +
			"`sudo sysctl fs.inotify.max_user_instances=1024`" + keep +
			"; or this process has too many files open: raise its limit (`ulimit -n`)"
	case linux && errors.Is(err, syscall.ENFILE):
		return "the machine has too many files open: raise fs.file-max, for example with " +
			"`sudo sysctl fs.file-max=1048576`" + keep
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return "too many files are open, since each directory and file that is watched takes one: " +
			"raise the limit (`ulimit -n`)"
	default:
		return fmt.Sprintf("the system says: %v", err)
	}
}
