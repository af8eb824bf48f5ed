package rclone

import (
	"context"
	"errors"
	"fmt"

	"github.com/rclone/rclone/fs"
	"github.com/rclone/rclone/fs/hash"

	"github.com/codestory/codestoryd/remote"
)

// Copy implements remote.Copier where the backend copies by itself and knows MD5s, which say what is meant and prove
// what came of it.
func (s *Store) Copy(ctx context.Context, from remote.Object, to string) (remote.Object, error) {
	made, err := s.copy(ctx, from, to)
	if err != nil {
		return remote.Object{}, fmt.Errorf("copying %s to %s: %w", from.Key, to, s.stopped(ctx, err))
	}
	return made, nil
}

func (s *Store) copy(ctx context.Context, from remote.Object, to string) (remote.Object, error) {
	c, err := s.connect(ctx)
	if err != nil {
		return remote.Object{}, err
	}
	if from.MD5 == "" || c.checksum != hash.MD5 || c.Features().SlowHash || c.Features().Copy == nil || c.growing {
		return remote.Object{}, errors.ErrUnsupported
	}
	name, err := objectName(to)
	if err != nil {
		return remote.Object{}, err
	}
	file, object, err := s.find(ctx, c, from.Key)
	if err != nil {
		return remote.Object{}, err
	}
	if object.MD5 != from.MD5 {
		return remote.Object{}, remote.ErrReplaced
	}
	ctx, config := fs.AddConfig(fs.CopyConfig(ctx, s.base))
	config.Metadata = true
	copied, err := c.Features().Copy(ctx, file, name)
	if errors.Is(err, fs.ErrorCantCopy) {
		return remote.Object{}, fmt.Errorf("%w: %w", errors.ErrUnsupported, err)
	}
	if err != nil {
		return remote.Object{}, s.missing(err)
	}
	made, err := c.describe(ctx, to, copied)
	if err == nil && (made.MD5 != from.MD5 || made.Size != from.Size) {
		err = fmt.Errorf("%w: MD5 %s instead of %s", errDiffers, made.MD5, from.MD5)
	}
	return made, err
}
