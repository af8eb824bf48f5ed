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

var (
	errNotName    = errors.New("not the name of a file below a directory")
	errNotRegular = errors.New("not a regular file")
	errNotDir     = errors.New("not a directory, or a symlink to one")
	errSwapped    = errors.New("replaced while it was opened")
)

// Stat is the version of the file at path. The error wraps codestory.ErrNotFound if there is none, if it is not a
// regular file, and if a symlink leads to it.
func (t *Tree) Stat(path codestory.Path) (codestory.Version, error) {
	info, err := t.lstat(string(path))
	if err == nil && !info.Mode().IsRegular() {
		err = t.wrap(string(path), errNotRegular)
	}
	if err != nil {
		return codestory.Version{}, err
	}
	return versionOf(info), nil
}

// Open opens the file at path for reading. Errors are those of Stat. The caller closes.
func (t *Tree) Open(path codestory.Path) (*File, error) {
	name := string(path)
	dir, base, err := t.parent(name)
	if err != nil {
		return nil, t.wrap(name, err)
	}
	defer dir.Close()
	file, info, err := openRegular(dir, base)
	if err != nil {
		return nil, t.wrap(name, err)
	}
	return &File{tree: t, name: name, file: file, info: info}, nil
}

// RemoveStory removes the story's folder with everything in it, because a person asked for that: nothing else is ever
// changed in the output directory. If there is none, this is a no-op; a symlink in its place is removed, not followed.
func (t *Tree) RemoveStory(id codestory.StoryID) error {
	dir, base, err := t.parent(string(id))
	if err != nil {
		return t.wrap(string(id), err)
	}
	defer dir.Close()
	if err := dir.RemoveAll(base); err != nil {
		return fmt.Errorf("removing the files of story %s: %w", id, cause(err))
	}
	return nil
}

// lstat describes what is at name, below directories that are not symlinks.
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

// parent opens the directory that name is in, and returns what name is called there. The caller closes.
func (t *Tree) parent(name string) (dir *os.Root, base string, err error) {
	base, err = localName(name)
	if err != nil {
		return nil, "", err
	}
	if dir, err = t.root(); err != nil {
		return nil, "", err
	}
	for {
		first, rest, deeper := strings.Cut(base, string(filepath.Separator))
		if !deeper {
			return dir, base, nil
		}
		info, err := dir.Lstat(first)
		var child *os.Root
		if err == nil {
			child, err = openSubdir(dir, first, info)
		}
		_ = dir.Close()
		if err != nil {
			return nil, "", err
		}
		dir, base = child, rest
	}
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

// openSubdir opens the directory that Lstat described as info, and no symlink in its place. The caller closes.
func openSubdir(parent *os.Root, base string, info os.FileInfo) (*os.Root, error) {
	if !info.IsDir() {
		return nil, errNotDir
	}
	dir, err := parent.OpenRoot(base + "/.") // opens directories only: a pipe in its place cannot block it
	if err != nil {
		return nil, err
	}
	opened, err := dir.Stat(".")
	if err == nil && !os.SameFile(info, opened) {
		err = errSwapped
	}
	if err != nil {
		_ = dir.Close()
		return nil, err
	}
	return dir, nil
}

// openRegular opens the regular file that is called base in dir, and no symlink in its place. The caller closes.
func openRegular(dir *os.Root, base string) (*os.File, os.FileInfo, error) {
	info, err := dir.Lstat(base)
	if err != nil {
		return nil, nil, err
	}
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

// wrap adds which name err is about. The result wraps codestory.ErrNotFound if there is no such file, but ErrDirMissing
// if that is because the whole directory is gone.
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

// absent reports whether err says that there is no such file. A missing permission says nothing.
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
