package watch

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"unicode/utf8"

	"github.com/codestory/codestoryd"
)

// Stat is the version of the file at path. The error wraps codestory.ErrNotFound where there is none, where it is no
// regular file, and where a symlink leads to it.
func (t *Tree) Stat(path codestory.Path) (codestory.Version, error) { return t.version(string(path)) }

// Open opens the file at path to read it. Errors as with Stat. The caller closes.
func (t *Tree) Open(path codestory.Path) (*File, error) { return t.open(string(path)) }

// version is Stat for a name as it is on the disk, which may be none that can be stored.
func (t *Tree) version(name string) (codestory.Version, error) {
	info, err := t.lstat(name)
	if err == nil && !info.Mode().IsRegular() {
		err = t.wrap(name, errNotRegular)
	}
	if err != nil {
		return codestory.Version{}, err
	}
	return versionOf(info), nil
}

// lstat describes what is at name, below directories that are no symlinks.
func (t *Tree) lstat(name string) (os.FileInfo, error) {
	dir, base, err := t.parent(name)
	if err != nil {
		return nil, t.wrap(name, err)
	}
	defer dir.Close()
	info, err := dir.Lstat(base)
	if err != nil {
		return nil, t.wrap(name, err)
	}
	return info, nil
}

func (t *Tree) open(name string) (*File, error) {
	dir, base, err := t.parent(name)
	if err != nil {
		return nil, t.wrap(name, err)
	}
	defer dir.Close()
	info, err := dir.Lstat(base)
	if err != nil {
		return nil, t.wrap(name, err)
	}
	file, info, err := openRegular(dir.Root, base, info)
	if err != nil {
		return nil, t.wrap(name, err)
	}
	return &File{tree: t, name: name, file: file, info: info}, nil
}

var (
	errNotName    = errors.New("not the name of a file below a directory")
	errNotRegular = errors.New("not a regular file")
	errNotDir     = errors.New("not a directory, or a symlink to one")
	errSwapped    = errors.New("replaced while it was opened")
)

// parent opens the directory that name is in, and says what name is called there. The caller closes.
func (t *Tree) parent(name string) (dir *handle, base string, err error) {
	local, err := localName(name)
	if err != nil {
		return nil, "", err
	}
	if dir, err = t.root(); err != nil {
		return nil, "", err
	}
	for i := 0; ; {
		n := strings.IndexRune(local[i:], filepath.Separator)
		if n < 0 {
			return dir, local[i:], nil
		}
		child, err := t.child(dir, local[i:i+n], local[:i+n])
		_ = dir.Close()
		if err != nil {
			return nil, "", err
		}
		dir, i = child, i+n+1
	}
}

// child opens the directory that is called base in dir, and name in the tree. The caller closes.
func (t *Tree) child(dir *handle, base, name string) (*handle, error) {
	info, err := dir.Lstat(base)
	if err != nil {
		return nil, err
	}
	if h := t.handles.get(name, info); h != nil {
		return h, nil
	}
	root, info, err := openSubdir(dir.Root, base, info)
	if err != nil {
		return nil, err
	}
	return t.handles.add(name, root, info), nil
}

// localName spells name as this system does. On Windows it refuses what is more than a name there: "\", "C:", "NUL".
func localName(name string) (string, error) {
	if !utf8.ValidString(name) {
		return filepath.FromSlash(name), nil // as a directory listed it: Localize knows UTF-8 only
	}
	local, err := filepath.Localize(name)
	if err != nil {
		return "", errNotName
	}
	return local, nil
}

// openSubdir opens the directory that Lstat described as info, and no symlink in its place. It returns what the
// directory is now.
func openSubdir(parent *os.Root, base string, info os.FileInfo) (*os.Root, os.FileInfo, error) {
	if !info.IsDir() {
		return nil, nil, errNotDir
	}
	dir, err := parent.OpenRoot(base + "/.") // opens directories only: a pipe in its place cannot hang it
	if err != nil {
		return nil, nil, err
	}
	opened, err := dir.Stat(".")
	if err == nil && !os.SameFile(info, opened) {
		err = errSwapped
	}
	if err != nil {
		_ = dir.Close()
		return nil, nil, err
	}
	return dir, opened, nil
}

// openRegular opens the regular file that Lstat described as info, and no symlink in its place. It returns what the
// file is now.
func openRegular(dir *os.Root, base string, info os.FileInfo) (*os.File, os.FileInfo, error) {
	if !info.Mode().IsRegular() {
		return nil, nil, errNotRegular
	}
	file, err := dir.OpenFile(base, openFlags, 0)
	if err != nil {
		return nil, nil, err
	}
	opened, err := file.Stat()
	// A pipe may have been given the inode number of a file that was removed.
	if err == nil && (!os.SameFile(info, opened) || !opened.Mode().IsRegular()) {
		err = errSwapped
	}
	if err != nil {
		_ = file.Close()
		return nil, nil, err
	}
	return file, opened, nil
}

// wrap says what err is about, which a look at name returned. It wraps codestory.ErrNotFound where there is no such
// file, but ErrDirMissing where that is because the whole directory is not there.
func (t *Tree) wrap(name string, err error) error {
	err = cause(err)
	if errors.Is(err, ErrDirMissing) || !absent(err) {
		return fmt.Errorf("looking at %q: %w", name, err)
	}
	if missing := t.present(); missing != nil {
		return fmt.Errorf("looking at %q: %w", name, missing)
	}
	return fmt.Errorf("%w: %q: %w", codestory.ErrNotFound, name, err)
}

// cause is err without the name that the system was asked about, which is relative to a directory below.
func cause(err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err
	}
	return err
}

// absent reports whether err says that there is no such file.
func absent(err error) bool {
	for _, target := range []error{
		fs.ErrNotExist, errNotName, errNotRegular, errNotDir, errSwapped, errNoName,
		syscall.ENOTDIR, syscall.ELOOP,
	} {
		if errors.Is(err, target) {
			return true
		}
	}
	return false
}
