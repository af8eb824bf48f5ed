package rclone

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/rclone/rclone/fs"
	"github.com/rclone/rclone/fs/hash"

	"github.com/codestory/codestoryd/remote"
)

// sum is the backend's checksum of the object, "" if it has none of this one.
func (c *connection) sum(ctx context.Context, file fs.Object) (string, error) {
	if c.checksum == hash.None {
		return "", nil
	}
	sum, err := file.Hash(ctx, c.checksum)
	if errors.Is(err, hash.ErrUnsupported) {
		return "", nil
	}
	return sum, err
}

// prove compares what the backend says of the object with what was sent.
func (c *connection) prove(ctx context.Context, file fs.Object, body *remote.Body, size int64, digest *hash.MultiHasher) error {
	if !body.Complete() {
		return errIncomplete
	}
	if file.Size() >= 0 && file.Size() != size {
		return fmt.Errorf("%w: %d bytes instead of %d", errDiffers, file.Size(), size)
	}
	want := body.Sum()
	got, err := c.sum(ctx, file)
	switch {
	case err != nil:
		return err
	case got == "":
		got, err = readBack(ctx, file)
	case c.checksum != hash.MD5:
		want, err = digest.SumString(c.checksum, false)
	}
	if err == nil && got != want {
		err = fmt.Errorf("%w: their checksum is %s instead of %s", errDiffers, got, want)
	}
	return err
}

// readBack is the MD5 of what the store gives out.
func readBack(ctx context.Context, file fs.Object) (string, error) {
	body, err := file.Open(ctx)
	if err != nil {
		return "", fmt.Errorf("reading it back: %w", err)
	}
	defer body.Close()
	digest := md5.New()
	if _, err := io.Copy(digest, body); err != nil {
		return "", fmt.Errorf("reading it back: %w", err)
	}
	return hex.EncodeToString(digest.Sum(nil)), nil
}

// Proof implements remote.Prover, by the checksum that the backend knows.
func (s *Store) Proof(ctx context.Context, object remote.Object) (remote.Proof, error) {
	c, ctx, err := s.connect(ctx)
	if err != nil {
		return nil, err
	}
	file, now, err := s.find(ctx, c, object.Key)
	if err != nil {
		return nil, fmt.Errorf("looking for %s: %w", object.Key, err)
	}
	if now.Size != object.Size || now.ETag != object.ETag || !now.Modified.Equal(object.Modified) {
		return nil, fmt.Errorf("looking for %s: %w", object.Key, remote.ErrReplaced)
	}
	want, err := c.sum(ctx, file)
	if err != nil || want == "" {
		return nil, s.stopped(ctx, err)
	}
	digest, err := hash.NewMultiHasherTypes(hash.NewHashSet(c.checksum))
	return &proof{digest, c.checksum, want}, err
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
