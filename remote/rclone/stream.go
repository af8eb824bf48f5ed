package rclone

import (
	"context"

	"github.com/rclone/rclone/fs/hash"

	"github.com/codestory/codestoryd/remote"
)

// stream is a remote.Body on its way into rclone, which does not always look at the context by itself.
type stream struct {
	ctx     context.Context
	body    *remote.Body
	limiter *remote.Limiter
	digest  *hash.MultiHasher // of what was read, beside the body's own MD5; nil for none
}

// Read implements io.Reader. The last byte does not leave once ctx has ended.
func (s *stream) Read(p []byte) (int, error) {
	n, err := s.body.Read(p[:min(len(p), s.limiter.Chunk())])
	if err != nil {
		return 0, err
	}
	if err := s.limiter.Wait(s.ctx, n); err != nil {
		return 0, err
	}
	if s.digest != nil {
		s.digest.Write(p[:n]) // a hash does not fail
	}
	return n, nil
}
