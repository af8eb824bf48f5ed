package folder

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/remote"
)

// List implements remote.Lister. It holds one folder at a time for each level.
func (s *Store) List(ctx context.Context, prefix, after string) iter.Seq2[remote.Object, error] {
	return func(yield func(remote.Object, error) bool) {
		root, err := s.open()
		if err == nil {
			defer root.Close()
			w := walk{s: s, root: root, prefix: prefix, after: after, yield: yield}
			_, err = w.folder(ctx, prefix[:strings.LastIndex(prefix, "/")+1])
		}
		if err != nil {
			yield(remote.Object{}, fmt.Errorf("listing %s: %w", prefix, s.judge(ctx, err)))
		}
	}
}

// walk goes through the objects in the order of their keys. That is not the order of the names in a folder: in a key the
// slash after a folder's name counts too.
type walk struct {
	s             *Store
	root          *os.Root
	prefix, after string
	yield         func(remote.Object, error) bool
}

// folder goes through the keys that begin with folder, which is empty or ends with a slash, and reports whether to go on.
func (w walk) folder(ctx context.Context, folder string) (bool, error) {
	if folder != "" {
		if err := checkKey(strings.TrimSuffix(folder, "/")); err != nil {
			return true, nil // nothing can have such a key
		}
	}
	entries, err := fs.ReadDir(w.root.FS(), path.Clean(folder))
	if isAbsent(err) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	for _, key := range w.keys(entries, folder) {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		goOn := true
		if strings.HasSuffix(key, "/") {
			goOn, err = w.folder(ctx, key)
		} else {
			goOn, err = w.object(key)
		}
		if err != nil || !goOn {
			return false, err
		}
	}
	return true, ctx.Err()
}

// keys are those of a folder that may lead to objects that are asked for, in order. A folder's key ends with a slash.
func (w walk) keys(entries []fs.DirEntry, folder string) []string {
	var keys []string
	for _, entry := range entries {
		key := folder + entry.Name()
		if err := checkKey(key); err != nil {
			continue // not an object of this store
		}
		switch {
		case entry.IsDir():
			key += "/"
			if !strings.HasPrefix(key, w.prefix) && !strings.HasPrefix(w.prefix, key) ||
				key < w.after && !strings.HasPrefix(w.after, key) {
				continue
			}
		case !strings.HasPrefix(key, w.prefix) || key <= w.after:
			continue
		}
		keys = append(keys, key)
	}
	slices.SortFunc(keys, cmp.Compare)
	return keys
}

func (w walk) object(key string) (bool, error) {
	info, err := lstat(w.root, key)
	object := remote.Object{}
	if err == nil {
		object, err = w.s.describe(w.root, key, info)
	}
	if errors.Is(err, codestory.ErrNotFound) {
		return true, nil // it was removed a moment ago, or is no object
	}
	object.ContentType = ""
	return err == nil && w.yield(object, nil), err
}

// Remove implements remote.Remover. Once it returns, the objects are gone from the disk. It ends at once if the store, not
// one of the objects, is at fault.
func (s *Store) Remove(ctx context.Context, keys []string) error {
	root, err := s.open()
	if err != nil {
		return fmt.Errorf("deleting: %w", err)
	}
	defer root.Close()
	failed := map[string]error{}
	for _, key := range keys {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("deleting: %w", err)
		}
		err := s.remove(root, key)
		if err == nil || errors.Is(err, codestory.ErrNotFound) {
			continue
		}
		err = s.judge(ctx, err)
		if codestory.ClassOf(ctx, err) == codestory.ClassPause || ctx.Err() != nil {
			return fmt.Errorf("deleting %s: %w", key, err)
		}
		failed[key] = fmt.Errorf("deleting %s: %w", key, err)
	}
	if len(failed) > 0 {
		return &remote.RemoveError{Failed: failed}
	}
	return nil
}

// remove deletes the object, its sidecar, and the folders that are empty then. If it is killed in between, a sidecar that
// describes nothing is left.
func (s *Store) remove(root *os.Root, key string) error {
	if err := checkKey(key); err != nil {
		return nil // nothing can have such a key
	}
	commit := s.commit(key)
	commit.Lock()
	defer commit.Unlock()
	info, err := lstat(root, key)
	if err != nil {
		return err
	}
	if _, err := s.describe(root, key, info); err != nil {
		return err
	}
	if err := root.Remove(key); err != nil {
		return err
	}
	if err := syncEntry(root, key); err != nil && !isAbsent(err) { // another Remove may have tidied the folder away
		return err
	}
	if err := root.Remove(s.slot(key)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	s.tidying.Lock()
	defer s.tidying.Unlock()
	for dir := path.Dir(key); dir != "." && root.Remove(dir) == nil; {
		dir = path.Dir(dir)
	}
	return nil
}
