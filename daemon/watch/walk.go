package watch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/codestory/codestoryd"
)

// readBatch is how many names of a directory are held at a time.
const readBatch = 256

// Rules say what is ignored because the user wants it, beyond what codestory.ParsePath ignores.
type Rules struct {
	// Exclude names the pattern that the file or directory matches, if one does. The path is relative to the output
	// directory, with "/" between its elements and none at the end. nil excludes nothing.
	Exclude func(path string, isDir bool) (pattern string, excluded bool)
}

func (r Rules) excluded(name string, isDir bool) (reason string) {
	if r.Exclude == nil {
		return ""
	}
	if pattern, ok := r.Exclude(name, isDir); ok {
		return fmt.Sprintf("excluded by the pattern %q", pattern)
	}
	return ""
}

// ignoredDir says why the directory is ignored with all that is in it; "" if it is not. The directories above it are
// not considered.
func (r Rules) ignoredDir(name string) (reason string) {
	if reason := codestory.IgnoredDir(name); reason != "" {
		return reason
	}
	return r.excluded(name, true)
}

// excludedAbove is excluded for each of the directories above name.
func (r Rules) excludedAbove(name string) (reason string) {
	for i := range len(name) {
		if name[i] != '/' {
			continue
		}
		if reason := r.excluded(name[:i], true); reason != "" {
			return reason
		}
	}
	return ""
}

// Excludes reports whether the file is excluded, itself or with a directory that it is in.
func (r Rules) Excludes(path codestory.Path) bool {
	return r.excluded(string(path), false) != "" || r.excludedAbove(string(path)) != ""
}

// Entry is one thing that Walk finds. Exactly one of Path, Fault, Ignored and Err is set, except for a
// story's metadata.json that the rules exclude: it has Path besides Ignored, since it is handed on to be read.
type Entry struct {
	// Name is relative to the output directory, with "/" between its elements, in the file system's bytes, which need
	// not be UTF-8. A directory's ends with "/".
	Name    string
	Version codestory.Version    // of a file with Path or Fault
	Path    codestory.Path       // a file to upload, or to read
	Fault   *codestory.PathError // why a file to upload has no key: a person has to rename it
	Ignored string               // why the file, or the directory with all that is in it, is not uploaded
	Err     error                // why the directory cannot be read, at all or any further
}

func (e Entry) change() Change {
	return Change{Name: e.Name, Path: e.Path, Version: e.Version, Fault: e.Fault}
}

// Walk calls fn for every file of the tree and for everything that is ignored, directory by directory, in the file
// system's order. It holds some names of each directory on the way down, never the tree. A directory that cannot be read
// is an Entry and does not end the walk, unless it is the output directory itself. Files that come or go meanwhile may
// be missed. An error of fn ends the walk and is returned.
func (t *Tree) Walk(ctx context.Context, rules Rules, fn func(Entry) error) error {
	w := walker{ctx: ctx, rules: rules, enter: func(string, os.FileInfo) {}, fn: fn}
	return w.tree(t)
}

var errEnough = errors.New("enough")

// Ignored lists what is not uploaded and why, in the order of Walk, up to limit entries.
func (t *Tree) Ignored(ctx context.Context, rules Rules, limit int) ([]codestory.Ignored, error) {
	var list []codestory.Ignored
	err := t.Walk(ctx, rules, func(e Entry) error {
		if len(list) >= limit {
			return errEnough
		}
		switch {
		case e.Ignored != "":
			list = append(list, codestory.Ignored{Path: e.Name, Reason: e.Ignored})
		case e.Err != nil:
			list = append(list, codestory.Ignored{Path: e.Name, Reason: "cannot be read: " + e.Err.Error()})
		}
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return nil, fmt.Errorf("listing the ignored files: %w", err)
	}
	return list, nil
}

// walker is one walk.
type walker struct {
	ctx   context.Context
	rules Rules
	enter func(name string, info os.FileInfo) // called for a directory before it is opened; the root's name is ""
	fn    func(Entry) error
	err   error // of fn or ctx: the walk is over
}

// tree walks the whole of t, as its path leads to it now.
func (w *walker) tree(t *Tree) error {
	root, info, err := openReadable(t.path)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := t.same(info); err != nil {
		return err
	}
	w.enter("", info)
	if err := w.list(root, ""); err != nil {
		return dirError(t.path, err)
	}
	if w.err != nil {
		return w.err
	}
	return t.present() // a directory that was removed meanwhile reads as an empty one
}

// subtree walks the directory name of t, which is not ignored. If it is gone, this is a no-op.
func (w *walker) subtree(t *Tree, name string) error {
	parent, base, err := t.parent(name)
	if err == nil {
		defer parent.Close()
		err = w.directory(parent, base, name)
	}
	w.unreadable(name, err)
	return w.err
}

// directory walks the directory that is called base in parent, and name in the tree.
func (w *walker) directory(parent *os.Root, base, name string) error {
	info, err := parent.Lstat(base)
	if err != nil {
		return err
	}
	w.enter(name, info)
	dir, err := openSubdir(parent, base, info)
	if err != nil {
		return err
	}
	defer dir.Close()
	return w.list(dir, name)
}

// list walks what is in dir, which is called name in the tree. The error says why dir cannot be read.
func (w *walker) list(dir *os.Root, name string) error {
	d, err := dir.Open(".")
	if err != nil {
		return err
	}
	defer d.Close()
	for {
		names, err := d.Readdirnames(readBatch)
		for _, base := range names {
			if w.err == nil {
				w.err = w.ctx.Err()
			}
			if w.err != nil {
				return nil
			}
			if err := w.entry(dir, base, join(name, base)); err != nil && !absent(err) {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// entry looks at what is called base in dir, and name in the tree. The error says why dir cannot be read.
func (w *walker) entry(dir *os.Root, base, name string) error {
	info, err := dir.Lstat(base)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		w.found(fileEntry(name, info, w.rules))
	} else if reason := w.rules.ignoredDir(name); reason != "" {
		w.found(Entry{Name: name + "/", Ignored: reason})
	} else {
		w.unreadable(name, w.directory(dir, base, name))
	}
	return nil
}

// unreadable reports that the directory cannot be read because of err, unless it is gone.
func (w *walker) unreadable(name string, err error) {
	if err != nil && !absent(err) && !errors.Is(err, ErrDirMissing) {
		w.found(Entry{Name: name + "/", Err: cause(err)})
	}
}

func (w *walker) found(e Entry) {
	if w.err == nil {
		w.err = w.fn(e)
	}
}

// fileEntry is the Entry of anything but a directory. The directories above it are not ignored.
func fileEntry(name string, info os.FileInfo, rules Rules) Entry {
	if reason := irregular(info.Mode()); reason != "" {
		return Entry{Name: name, Ignored: reason}
	}
	path, err := codestory.ParsePath(name)
	fault, faulty := errors.AsType[*codestory.PathError](err)
	if faulty && fault.Fault != codestory.PathUnstorable {
		return Entry{Name: name, Ignored: fault.Reason}
	}
	if reason := rules.excluded(name, false); reason != "" {
		if !path.IsMetadata() {
			path = ""
		}
		return Entry{Name: name, Version: versionOf(info), Path: path, Ignored: reason}
	}
	return Entry{Name: name, Version: versionOf(info), Path: path, Fault: fault}
}

// irregular says what kind of file it is; "" if it is a regular one.
func irregular(mode os.FileMode) (reason string) {
	switch {
	case mode.IsRegular():
		return ""
	case mode&os.ModeSymlink != 0:
		return "symlink"
	case mode&os.ModeNamedPipe != 0:
		return "not a regular file (named pipe)"
	case mode&os.ModeSocket != 0:
		return "not a regular file (socket)"
	case mode&os.ModeDevice != 0:
		return "not a regular file (device)"
	default:
		return "not a regular file"
	}
}

func join(dir, base string) string {
	if dir == "" {
		return base
	}
	return dir + "/" + base
}
