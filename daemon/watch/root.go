package watch

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// ErrDirMissing is wrapped if the output directory itself is gone, replaced or unreadable. It says nothing about the
// files in it: they may come back with it.
var ErrDirMissing = errors.New("the output directory cannot be read")

// Tree is the output directory. Its files are only reached through an os.Root, and no symlink below it is followed.
// Nothing stays open between two calls, so that an idle file system can be unmounted. All methods may be called
// concurrently.
type Tree struct {
	path  string      // absolute, as given: a symlink in it may come to point elsewhere
	first os.FileInfo // the directory that was there when the Tree was made

	mu   sync.RWMutex
	dir  string      // where path leads: absolute, without symlinks
	info os.FileInfo // the directory there

	buffers sync.Pool // of *[pieceSize]byte, for File.WriteRange
}

// OpenTree finds the directory, which has to exist. Its errors are sentences for people.
func OpenTree(dir string) (*Tree, error) {
	path, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("finding the output directory %s: %w", dir, err)
	}
	t := &Tree{path: path, buffers: sync.Pool{New: func() any { return new([pieceSize]byte) }}}
	if err := t.reopen(); err != nil {
		return nil, err
	}
	t.first = t.info
	return t, nil
}

// openRoot opens the directory. The caller closes.
func openRoot(dir string) (*os.Root, os.FileInfo, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, nil, dirError(dir, err)
	}
	info, err := root.Stat(".")
	if err != nil {
		_ = root.Close()
		return nil, nil, dirError(dir, err)
	}
	return root, info, nil
}

// openReadable is openRoot, but makes sure that the directory can be listed.
func openReadable(dir string) (*os.Root, os.FileInfo, error) {
	if info, err := os.Stat(dir); err == nil && !info.IsDir() {
		return nil, nil, dirError(dir, errors.New("it is not a directory: name another one, or move it away"))
	}
	root, info, err := openRoot(dir)
	if err != nil {
		return nil, nil, err
	}
	if _, err := isEmpty(root); err != nil {
		_ = root.Close()
		return nil, nil, dirError(dir, err)
	}
	return root, info, nil
}

func isEmpty(root *os.Root) (bool, error) {
	d, err := root.Open(".")
	if err != nil {
		return false, err
	}
	defer d.Close()
	_, err = d.Readdirnames(1)
	if errors.Is(err, io.EOF) {
		return true, nil
	}
	return false, err
}

func dirError(dir string, err error) error {
	err = cause(err)
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w: %s: %w: give this user the right to read it", ErrDirMissing, dir, err)
	}
	return fmt.Errorf("%w: %s: %w", ErrDirMissing, dir, err)
}

// Dir is the directory's absolute path, without symlinks.
func (t *Tree) Dir() string {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.dir
}

// Original reports whether the directory is the one that was there when the Tree was made. Files that are missing from
// another one may come back with the first.
func (t *Tree) Original() bool { return t.same(t.first) == nil }

// same returns nil if info describes the directory that was opened last.
func (t *Tree) same(info os.FileInfo) error {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if !os.SameFile(info, t.info) {
		return dirError(t.path, errors.New("another one is in its place"))
	}
	return nil
}

// root opens the directory, which has to be the one that was opened last. The caller closes.
func (t *Tree) root() (*os.Root, error) {
	root, info, err := openRoot(t.path)
	if err != nil {
		return nil, err
	}
	if err := t.same(info); err != nil {
		_ = root.Close()
		return nil, err
	}
	return root, nil
}

// present returns nil while the path leads to the directory that was opened last.
func (t *Tree) present() error {
	info, err := os.Stat(t.path)
	if err != nil {
		return dirError(t.path, err)
	}
	return t.same(info)
}

// Empty reports whether there is nothing at all in the directory, as when a file system is not mounted.
func (t *Tree) Empty() bool {
	root, err := t.root()
	if err != nil {
		return false
	}
	defer root.Close()
	empty, err := isEmpty(root)
	return empty && err == nil
}

// Check returns nil while the directory that was opened last is there and can be read; else an error that wraps
// ErrDirMissing.
func (t *Tree) Check() error {
	root, info, err := openReadable(t.path)
	if err != nil {
		return err
	}
	return errors.Join(t.same(info), root.Close())
}

// reopen makes the directory that the path leads to the output directory, if it can be read. It refuses the empty
// mount point that is left behind when the file system is unmounted.
func (t *Tree) reopen() error {
	root, info, err := openReadable(t.path)
	if err != nil {
		return err
	}
	defer root.Close()
	dir, err := filepath.EvalSymlinks(t.path)
	if err != nil {
		return dirError(t.path, err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.info != nil && fileIDOf(info).device != fileIDOf(t.info).device {
		if empty, err := isEmpty(root); empty || err != nil {
			return dirError(t.path, errors.New(
				"an empty one of another file system is in its place: mount the one that it was on"))
		}
	}
	t.dir, t.info = dir, info
	return nil
}

// peek describes what the absolute path of an event leads to. It serves to tell files from directories only: whatever
// is read of them is reached through the Tree.
func peek(path string) (os.FileInfo, error) { return os.Lstat(path) }
