package rclone

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/rclone/rclone/fs"
	"github.com/rclone/rclone/lib/encoder"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/remote"
)

// Remove implements remote.Remover, by one request and more for each key. Folders stay, also empty ones: whether one
// is empty can change before it is deleted.
func (s *Store) Remove(ctx context.Context, keys []string) error {
	c, ctx, err := s.connect(ctx)
	if err != nil {
		return fmt.Errorf("deleting: %w", err)
	}
	return removeEach(ctx, keys, func(key string) error {
		move := s.move(key)
		move.Lock()
		defer move.Unlock()
		file, _, err := s.find(ctx, c, key)
		if err != nil {
			return err
		}
		return s.missing(file.Remove(ctx))
	})
}

// Remove implements remote.Remover. Once it returns, the objects are gone from the disk.
func (f *Folder) Remove(ctx context.Context, keys []string) error {
	if err := f.there(); err != nil {
		return fmt.Errorf("deleting: %w", err)
	}
	return removeEach(ctx, keys, func(key string) error { return f.remove(ctx, key) })
}

// remove deletes the object, what is kept of it, and the folders that are empty then. Killed in between, there is a
// sidecar that describes nothing.
func (f *Folder) remove(ctx context.Context, key string) error {
	commit := f.commit(key)
	commit.Lock()
	defer commit.Unlock()
	file, _, err := f.look(ctx, key)
	if err != nil {
		return err
	}
	place := filepath.Join(f.root, filepath.FromSlash(encoder.OS.FromStandardPath(file.Remote())))
	if err := f.unlink(ctx, key, file, place); err != nil {
		return err
	}
	f.tidying.Lock()
	defer f.tidying.Unlock()
	for dir := filepath.Dir(place); dir != f.root && os.Remove(dir) == nil; {
		dir = filepath.Dir(dir)
	}
	return nil
}

func (f *Folder) unlink(ctx context.Context, key string, file fs.Object, place string) error {
	f.tidying.RLock()
	defer f.tidying.RUnlock()
	if err := file.Remove(fs.CopyConfig(ctx, f.base)); err != nil {
		return f.missing(err)
	}
	if err := syncDir(filepath.Dir(place)); err != nil {
		return err
	}
	if err := os.Remove(f.slot(key)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return f.classify(err)
	}
	return nil
}

// removeEach deletes the keys one by one. It ends at once where the store, and not one of the objects, is at fault.
func removeEach(ctx context.Context, keys []string, remove func(key string) error) error {
	failed := map[string]error{}
	for _, key := range keys {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("deleting: %w", err)
		}
		if _, err := objectName(key); err != nil || len(key) > codestory.MaxKeyBytes {
			continue // nothing can have such a key
		}
		err := remove(key)
		switch {
		case err == nil || errors.Is(err, codestory.ErrNotFound):
		case codestory.ClassOf(ctx, err) == codestory.ClassPause, ctx.Err() != nil:
			return fmt.Errorf("deleting %s: %w", key, err)
		default:
			failed[key] = fmt.Errorf("deleting %s: %w", key, err)
		}
	}
	if len(failed) > 0 {
		return &remote.RemoveError{Failed: failed}
	}
	return nil
}
