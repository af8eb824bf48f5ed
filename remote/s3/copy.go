package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/minio/minio-go/v7"

	"github.com/codestory/codestoryd/remote"
)

// maxCopy is the largest object that is copied, in bytes. S3 would take 5 GiB with one request; but MinIO says nothing
// until it is done, which for so much can look like a connection that is dead, and what we put has no MD5 from here on,
// so that the copy would have to be read back.
const maxCopy = readAheadUpTo

// Copy implements remote.Copier by one request, which names the ETag of what is to be copied, and a HEAD of what came
// of it. Content type and metadata come along. An object of more than 1 GiB is not copied.
func (s *Store) Copy(ctx context.Context, from remote.Object, to string) (remote.Object, error) {
	doing := "copy " + from.Key + " to " + to
	if err := storable(to, from.Size); err != nil {
		return remote.Object{}, err
	}
	if from.Size > maxCopy {
		return remote.Object{}, fmt.Errorf("%s: %w: it has %d bytes, and up to 1 GiB are copied", doing, errors.ErrUnsupported, from.Size)
	}
	if from.ETag == "" {
		return remote.Object{}, fmt.Errorf("%s: %w: no ETag says which version is meant", doing, errors.ErrUnsupported)
	}
	info, err := s.core.Client.CopyObject(ctx,
		minio.CopyDestOptions{Bucket: s.info.Bucket, Object: to},
		minio.CopySrcOptions{Bucket: s.info.Bucket, Object: from.Key, MatchETag: `"` + from.ETag + `"`})
	if err != nil {
		return remote.Object{}, s.failVersion(ctx, doing, err)
	}
	if info.ETag == "" {
		return remote.Object{}, s.fail(ctx, doing, &foreignError{status: "200 OK, without an ETag"})
	}
	made, err := s.Stat(ctx, to)
	if err != nil {
		return remote.Object{}, fmt.Errorf("%s: what came of it: %w", doing, err)
	}
	if made.Size != from.Size || made.ETag != info.ETag {
		return remote.Object{}, fmt.Errorf("%s: there are %d bytes with ETag %s now, not %d with ETag %s", doing, made.Size, made.ETag, from.Size, info.ETag)
	}
	if err := s.proveCopy(ctx, from, made); err != nil {
		return remote.Object{}, fmt.Errorf("%s: %w", doing, err)
	}
	if from.MD5 != "" {
		made.MD5 = from.MD5
	}
	return made, nil
}

// proveCopy returns nil where made has the content of from: its ETag is the MD5, or that of the same parts, or both
// have the same checksum, or it reads as it should.
func (s *Store) proveCopy(ctx context.Context, from, made remote.Object) error {
	if strings.EqualFold(made.ETag, from.MD5) || made.ETag == from.ETag && partsOf(made.ETag) > 0 {
		return nil
	}
	proof, err := remote.ProofOf(ctx, s, from)
	if err != nil {
		return err
	}
	if proof == nil {
		return fmt.Errorf("%w: the server has no digest of it", errors.ErrUnsupported)
	}
	content, err := s.OpenVersion(ctx, made, 0, -1)
	if err != nil {
		return err
	}
	_, err = io.Copy(proof, content)
	if err := errors.Join(err, content.Close()); err != nil {
		return s.fail(ctx, "reading it back", err)
	}
	return proof.Verify()
}
