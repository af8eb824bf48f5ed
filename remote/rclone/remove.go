package rclone

import (
	"context"
	"errors"
	"fmt"

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
