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

// ErrDirMissing is wrapped where the output directory itself is gone, replaced or unreadable. It says nothing about
// the files in it: they may be back with it.
var ErrDirMissing = errors.New("the output directory cannot be read")

// Tree is the output directory. It is only read, and each time through a handle that no name can leave. None is kept
// for more than a moment: a file system of which nothing is being read can be unmounted. All methods may be called at the
// same time.
type Tree struct {
	path  string   // absolute, as it was given: a symlink in it may come to lead elsewhere
	first identity // of the directory that was there when the Tree was made

	mu  sync.RWMutex
	dir string   // where path leads: absolute, without symlinks
	is  identity // of the directory there

	handles   handles
	snapshots snapshots
}

// identity tells a directory from another one that was given its inode number after it was removed.
type identity struct {
	info os.FileInfo
	born int64 // nanoseconds since 1970; 0 where the system does not say
}

func (i identity) of(other identity) bool {
	return os.SameFile(i.info, other.info) && i.born == other.born
}

// OpenTree finds the directory, which has to be there. Its errors are sentences for people.
func OpenTree(dir string) (*Tree, error) {
	path, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("finding the output directory %s: %w", dir, err)
	}
	t := &Tree{path: path}
	if err := t.reopen(); err != nil {
		return nil, err
	}
	t.first = t.is
	return t, nil
}

// openDir opens the directory and makes sure that it can be read. The caller closes.
func openDir(dir string) (*os.Root, identity, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return nil, identity{}, dirError(dir, err)
	}
	if !info.IsDir() {
		return nil, identity{}, dirError(dir, errors.New("it is not a directory: name another one, or move it away"))
	}
	root, is, err := openRoot(dir)
	if err != nil {
		return nil, identity{}, err
	}
	if _, err := isEmpty(root); err != nil {
		_ = root.Close()
		return nil, identity{}, dirError(dir, err)
	}
	return root, is, nil
}

// openRoot opens the directory. The caller closes.
func openRoot(dir string) (*os.Root, identity, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, identity{}, dirError(dir, err)
	}
	info, err := root.Stat(".")
	if err != nil {
		_ = root.Close()
		return nil, identity{}, dirError(dir, err)
	}
	return root, identity{info, born(dir, info)}, nil
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

// Original reports whether the directory is the one that was there when the Tree was made. What is not in another one
// may be back with the first.
func (t *Tree) Original() bool { return t.same(t.first) == nil }

// same returns nil where it is the directory that was opened last.
func (t *Tree) same(is identity) error {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if !is.of(t.is) {
		return dirError(t.path, errors.New("another one is in its place"))
	}
	return nil
}

// root opens the directory, which has to be the one that was opened last. The caller closes.
func (t *Tree) root() (*handle, error) {
	info, err := os.Stat(t.path)
	if err != nil {
		return nil, dirError(t.path, err)
	}
	if h := t.handles.get("", info); h != nil {
		return h, nil
	}
	root, is, err := openRoot(t.path)
	if err != nil {
		return nil, err
	}
	if err := t.same(is); err != nil {
		_ = root.Close()
		return nil, err
	}
	return t.handles.add("", root, is.info), nil
}

// present returns nil while the path leads to the directory that was opened last.
func (t *Tree) present() error {
	info, err := os.Stat(t.path)
	if err != nil {
		return dirError(t.path, err)
	}
	return t.same(identity{info, born(t.path, info)})
}

// Empty reports whether there is nothing at all in the directory, as where a file system is not mounted.
func (t *Tree) Empty() bool {
	root, err := t.root()
	if err != nil {
		return false
	}
	defer root.Close()
	empty, err := isEmpty(root.Root)
	return empty && err == nil
}

// Check returns nil while the directory that was opened last is there and can be read; else an error that wraps
// ErrDirMissing.
func (t *Tree) Check() error {
	root, is, err := openDir(t.path)
	if err != nil {
		return err
	}
	return errors.Join(t.same(is), root.Close())
}

// reopen takes the directory that the path leads to for the output directory, whether or not it is the one that was
// before, if it can be read. What is left behind where a file system was unmounted is not.
func (t *Tree) reopen() error {
	root, is, err := openDir(t.path)
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
	if t.is.info != nil && fileIDOf(is.info).device != fileIDOf(t.is.info).device {
		if empty, err := isEmpty(root); empty || err != nil {
			return dirError(t.path, errors.New(
				"an empty one of another file system is in its place: mount the one that it was on"))
		}
	}
	t.dir, t.is = dir, is
	t.handles.forget()
	return nil
}
