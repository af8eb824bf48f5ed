package rclone

import (
	"context"
	"fmt"

	"github.com/rclone/rclone/fs"
	"github.com/rclone/rclone/fs/hash"

	"github.com/codestory/codestoryd/remote"
)

// Proof implements remote.Prover, by the checksum that the backend knows.
func (s *Store) Proof(ctx context.Context, object remote.Object) (remote.Proof, error) {
	c, err := s.connect(ctx)
	if err != nil {
		return nil, err
	}
	if c.checksum == hash.None {
		return nil, nil
	}
	file, now, err := s.find(ctx, c, object.Key)
	if err != nil {
		return nil, fmt.Errorf("looking for %s: %w", object.Key, err)
	}
	if now.Size != object.Size || now.ETag != object.ETag || !now.Modified.Equal(object.Modified) {
		return nil, fmt.Errorf("looking for %s: %w", object.Key, remote.ErrReplaced)
	}
	want, err := c.sum(fs.CopyConfig(ctx, s.base), file)
	if err != nil || want == "" {
		return nil, s.stopped(ctx, err)
	}
	digest, err := hash.NewMultiHasherTypes(hash.NewHashSet(c.checksum))
	if err != nil {
		return nil, err
	}
	return &proof{digest, c.checksum, want}, nil
}

// proof is by a checksum of any kind that rclone knows.
type proof struct {
	*hash.MultiHasher
	kind hash.Type
	want string
}

func (p *proof) Verify() error {
	got, err := p.SumString(p.kind, false)
	if err == nil && got != p.want {
		err = fmt.Errorf("%w: their %v is %s, that of the object %s", remote.ErrDiffers, p.kind, got, p.want)
	}
	return err
}
