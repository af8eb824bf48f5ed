package rclone

import (
	"context"
	"errors"
	"fmt"

	"github.com/rclone/rclone/fs"
	"github.com/rclone/rclone/fs/hash"

	"github.com/codestory/codestoryd/remote"
)

// Copy implements remote.Copier if the backend copies by itself and knows MD5s, which say what is meant and prove what
// was made.
func (s *Store) Copy(ctx context.Context, from remote.Object, to string) (remote.Object, error) {
	made, err := s.copy(ctx, from, to)
	if err != nil {
		return remote.Object{}, fmt.Errorf("copying %s to %s: %w", from.Key, to, s.stopped(ctx, err))
	}
	return made, nil
}

func (s *Store) copy(ctx context.Context, from remote.Object, to string) (made remote.Object, err error) {
	c, ctx, err := s.connect(ctx)
	if err != nil {
		return made, err
	}
	if from.MD5 == "" || c.checksum != hash.MD5 || c.Features().SlowHash || c.Features().Copy == nil || c.growing {
		return made, errors.ErrUnsupported
	}
	name, err := objectName(to)
	if err != nil {
		return made, err
	}
	file, object, err := s.find(ctx, c, from.Key)
	if err != nil {
		return made, err
	}
	if object.MD5 != from.MD5 {
		return made, remote.ErrReplaced
	}
	ctx, config := fs.AddConfig(ctx)
	config.Metadata = true
	copied, err := c.Features().Copy(ctx, file, name)
	if errors.Is(err, fs.ErrorCantCopy) {
		return made, fmt.Errorf("%w: %w", errors.ErrUnsupported, err)
	}
	if err != nil {
		return made, s.missing(err)
	}
	made, err = c.describe(ctx, to, copied)
	if err == nil && (made.MD5 != from.MD5 || made.Size != from.Size) {
		err = fmt.Errorf("%w: MD5 %s instead of %s", errDiffers, made.MD5, from.MD5)
	}
	return made, err
}
