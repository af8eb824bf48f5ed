package rclone

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"path"
	"slices"
	"strings"

	"github.com/rclone/rclone/fs"
	"github.com/rclone/rclone/lib/encoder"

	"github.com/codestory/codestoryd/remote"
)

// List implements remote.Lister. It holds one folder at a time for each level.
func (s *Store) List(ctx context.Context, prefix, after string) iter.Seq2[remote.Object, error] {
	return func(yield func(remote.Object, error) bool) {
		c, ctx, err := s.connect(ctx)
		if err == nil {
			w := walk{fs: c, prefix: prefix, after: after}
			err = w.run(ctx, func(key string, file fs.Object) (bool, error) {
				object, err := c.describe(ctx, key, file)
				if err != nil {
					return false, err
				}
				object.ContentType = ""
				return yield(object, nil), nil
			})
		}
		if err != nil {
			yield(remote.Object{}, fmt.Errorf("listing %s: %w", prefix, s.stopped(ctx, err)))
		}
	}
}

// stopped is err classified, or that of ctx where it has ended.
func (s *Store) stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return s.classify(err)
}

// walk goes through the objects of a remote in the order of their keys, which is not that of the folders' names: in a
// key the slash after a folder's name counts too.
type walk struct {
	fs            fs.Fs
	prefix, after string
}

// run calls found for each object until that says no, or fails.
func (w walk) run(ctx context.Context, found func(key string, file fs.Object) (bool, error)) error {
	folder := w.prefix[:strings.LastIndex(w.prefix, "/")+1]
	name := ""
	if folder != "" {
		var err error
		if name, err = objectName(strings.TrimSuffix(folder, "/")); err != nil {
			return nil // nothing can have such a key
		}
	}
	_, err := w.folder(ctx, name, folder, found)
	return err
}

type named struct {
	key   string // that of a folder ends with a slash
	entry fs.DirEntry
}

// folder goes through one whose keys begin with folder, and reports whether to go on.
func (w walk) folder(ctx context.Context, name, folder string, found func(string, fs.Object) (bool, error)) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	entries, err := w.fs.List(ctx, name)
	if absent(err) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	last := ""
	for _, e := range w.inOrder(entries, folder) {
		goOn := true
		switch entry := e.entry.(type) {
		case fs.Directory:
			goOn, err = w.folder(ctx, entry.Remote(), e.key, found)
		case fs.Object:
			if e.key != last && entry.Storable() { // some backends have two objects of one name
				goOn, err = found(e.key, entry)
			}
		}
		if err != nil || !goOn {
			return false, err
		}
		last = e.key
	}
	return true, ctx.Err()
}

// inOrder are the entries that may lead to objects that are asked for.
func (w walk) inOrder(entries fs.DirEntries, folder string) []named {
	var in []named
	for _, entry := range entries {
		key := folder + encoder.Standard.Decode(path.Base(entry.Remote()))
		if name, err := objectName(key); err != nil || name != entry.Remote() { // nothing of ours is called so
			continue
		}
		if _, ok := entry.(fs.Directory); ok {
			key += "/"
			if !strings.HasPrefix(key, w.prefix) && !strings.HasPrefix(w.prefix, key) ||
				key < w.after && !strings.HasPrefix(w.after, key) {
				continue
			}
		} else if !strings.HasPrefix(key, w.prefix) || key <= w.after {
			continue
		}
		in = append(in, named{key, entry})
	}
	slices.SortStableFunc(in, func(a, b named) int { return cmp.Compare(a.key, b.key) })
	return in
}
