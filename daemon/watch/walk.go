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

// Rules are what the user wants to be left alone, beyond what codestory.ParsePath ignores.
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

// ignoredDir says why the directory is not descended into; "" where it is. Those above it are not looked at.
func (r Rules) ignoredDir(name string) (reason string) {
	if reason := codestory.IgnoredDir(name); reason != "" {
		return reason
	}
	return r.excluded(name, true)
}

// excludedAbove is excluded for the directories above name.
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

// Excludes reports whether the file is left alone, itself or with a directory that it is in.
func (r Rules) Excludes(path codestory.Path) bool {
	return r.excluded(string(path), false) != "" || r.excludedAbove(string(path)) != ""
}

// Entry is what Walk finds. Exactly one of Path, Fault, Ignored and Err is set, but for a story's metadata.json that the
// rules exclude: it has Path besides Ignored, since it is handed on to be read.
type Entry struct {
	// Name is relative to the output directory, with "/" between its elements, and in the bytes that the file system
	// has, which need not be UTF-8. That of a directory ends with "/".
	Name    string
	Version codestory.Version    // of a file with Path or Fault
	Path    codestory.Path       // a file to upload, or to read
	Fault   *codestory.PathError // a file to upload that has no key: a person has to rename it
	Ignored string               // why the file, or the directory with all that is in it, is not uploaded
	Err     error                // why the directory cannot be read, at all or any further
}

// Walk calls fn for every file of the tree and for what is ignored of it, directory by directory, in the order that
// the file system has. It holds some names of each directory on the way down, never the tree. A directory that cannot
// be read is an Entry and does not end the walk; one that is the output directory itself does, with an error. Files
// that come or go meanwhile may be missed. An error of fn ends the walk and is returned.
func (t *Tree) Walk(ctx context.Context, rules Rules, fn func(Entry) error) error {
	w := walker{ctx: ctx, rules: rules, enter: func(string, os.FileInfo) {}, fn: fn}
	return w.tree(t)
}

var errEnough = errors.New("enough")

// Ignored lists what is not uploaded and why, in the order of Walk: at most limit of them.
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
		return nil, fmt.Errorf("listing what is ignored: %w", err)
	}
	return list, nil
}

// walker is one walk.
type walker struct {
	ctx   context.Context
	rules Rules
	enter func(name string, info os.FileInfo) // called for a directory before it is opened; the root's name is ""
	fn    func(Entry) error
}

// tree walks the whole of t, as its path leads to it now.
func (w *walker) tree(t *Tree) error {
	root, is, err := openDir(t.path)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := t.same(is); err != nil {
		return err
	}
	w.enter("", is.info)
	unreadable, err := w.below(root, "")
	if err != nil {
		return err
	}
	if unreadable != nil {
		return dirError(t.path, unreadable)
	}
	// A directory that was removed meanwhile reads as an empty one.
	if now, err := os.Stat(t.path); err != nil {
		return dirError(t.path, err)
	} else if !os.SameFile(now, is.info) {
		return dirError(t.path, errors.New("it was replaced during the scan"))
	}
	return nil
}

// subtree walks the directory name of t, which is none that is ignored. Nothing happens where it is gone.
func (w *walker) subtree(t *Tree, name string) error {
	parent, base, err := t.parent(name)
	if err == nil {
		defer parent.Close()
		var info os.FileInfo
		if info, err = parent.Lstat(base); err == nil {
			return w.directory(parent.Root, base, name, info)
		}
	}
	if absent(err) {
		return nil
	}
	return t.wrap(name, err)
}

// directory walks the directory that is called base in parent, and name in the tree. One that is gone is nothing.
func (w *walker) directory(parent *os.Root, base, name string, info os.FileInfo) error {
	w.enter(name, info)
	dir, _, err := openSubdir(parent, base, info)
	for errors.Is(err, errSwapped) {
		if info, err = parent.Lstat(base); err == nil {
			w.enter(name, info)
			dir, _, err = openSubdir(parent, base, info)
		}
	}
	if err == nil {
		defer dir.Close()
		var fault error
		if fault, err = w.below(dir, name); err != nil {
			return err
		}
		err = fault
	}
	if err == nil || absent(err) {
		return nil
	}
	return w.fn(Entry{Name: name + "/", Err: cause(err)})
}

// below walks what is in dir, which is called name in the tree. unreadable is a fault of dir itself, err one that
// ends the walk.
func (w *walker) below(dir *os.Root, name string) (unreadable, err error) {
	d, err := dir.Open(".")
	if err != nil {
		return err, nil
	}
	defer d.Close()
	for {
		names, readErr := d.Readdirnames(readBatch)
		for _, base := range names {
			if err := w.ctx.Err(); err != nil {
				return nil, err
			}
			if unreadable, err := w.entry(dir, base, join(name, base)); unreadable != nil || err != nil {
				return unreadable, err
			}
		}
		if errors.Is(readErr, io.EOF) {
			return nil, nil
		}
		if readErr != nil {
			return readErr, nil
		}
	}
}

// entry looks at what is called base in dir, and name in the tree. Errors as with below.
func (w *walker) entry(dir *os.Root, base, name string) (unreadable, err error) {
	info, err := dir.Lstat(base)
	if err != nil {
		if absent(err) {
			return nil, nil
		}
		return err, nil
	}
	if info.IsDir() {
		if reason := w.rules.ignoredDir(name); reason != "" {
			return nil, w.fn(Entry{Name: name + "/", Ignored: reason})
		}
		return nil, w.directory(dir, base, name, info)
	}
	return nil, w.fn(fileEntry(name, info, w.rules))
}

// fileEntry is the Entry of what is no directory. Those above it are not ignored.
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

// irregular says what a file is that is not a regular one.
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
