package s3

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/minio/minio-go/v7"

	"github.com/codestory/codestoryd/remote"
)

// maxCopy is the largest object that is copied, in bytes. S3 would take 5 GiB with one request; but MinIO is silent until
// it is done, which looks like a stalled connection, and above this size our objects have no MD5 to prove the copy.
const maxCopy = digestUpTo

// Copy implements remote.Copier by one request, which names the ETag of the source, and a HEAD of the result. Content type
// and metadata are copied.
func (s *Store) Copy(ctx context.Context, from remote.Object, to string) (remote.Object, error) {
	doing := "copy " + from.Key + " to " + to
	if err := storable(to, from.Size); err != nil {
		return remote.Object{}, err
	}
	if from.ETag == "" || from.Size > maxCopy {
		return remote.Object{}, fmt.Errorf("%s: %w: objects with an ETag of up to 1 GiB are copied", doing, errors.ErrUnsupported)
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
	if err == nil && (made.Size != from.Size || made.ETag != info.ETag) {
		err = fmt.Errorf("it has %d bytes with ETag %s, not %d with ETag %s", made.Size, made.ETag, from.Size, info.ETag)
	}
	if err == nil {
		err = s.proveCopy(ctx, from, made)
	}
	if err != nil {
		return remote.Object{}, fmt.Errorf("%s: the copy: %w", doing, err)
	}
	if from.MD5 != "" {
		made.MD5 = from.MD5
	}
	return made, nil
}

// proveCopy returns nil if made has the content of from: by its ETag, else by reading it back.
func (s *Store) proveCopy(ctx context.Context, from, made remote.Object) error {
	if strings.EqualFold(made.ETag, from.MD5) || made.ETag == from.ETag && partsOf(made.ETag) > 0 {
		return nil
	}
	proof, err := remote.ProofOf(ctx, s, from)
	if err != nil {
		return err
	}
	if proof == nil {
		return fmt.Errorf("%w: the server has no digest of the object", errors.ErrUnsupported)
	}
	if err := s.readBack(ctx, made.Key, made.ETag, proof); err != nil {
		return err
	}
	return proof.Verify()
}
