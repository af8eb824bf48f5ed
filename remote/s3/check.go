package s3

import (
	"context"
	"errors"

	"github.com/minio/minio-go/v7"

	"github.com/codestory/codestoryd"
)

// Check implements remote.Store by listing at most one object. Unlike a HEAD of the bucket that has a body, which
// tells a wrong key, a wrong signature, a missing bucket and a wrong clock apart.
//
// A plain AccessDenied counts as an answer: the signature was found right, and a policy may well allow uploads and no
// listing. Should it allow no uploads either, the first of them says so.
//
// With Options.CreateBucket a bucket that is missing is made.
func (s *Store) Check(ctx context.Context) error {
	doing := "asking for bucket " + s.info.Bucket
	err := s.listOne(ctx)
	switch code := codeOf(err); {
	case code == minio.AccessDenied && ctx.Err() == nil:
		return nil
	case code == minio.NoSuchBucket && s.createBucket:
		doing = "making bucket " + s.info.Bucket
		err = s.makeBucket(ctx)
	}
	if err == nil {
		return nil
	}
	err = s.fail(ctx, doing, err)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return codestory.Pause(codestory.RemoteUnavailable, s.info.Endpoint+" does not answer in time", err)
	case codestory.ClassOf(ctx, err) == codestory.ClassRetry:
		return codestory.Pause(codestory.RemoteUnavailable, s.info.Endpoint+" does not answer as it should", err)
	default:
		return err
	}
}

func (s *Store) listOne(ctx context.Context) error {
	noOwner := false
	for object := range s.core.ListObjectsIter(ctx, s.info.Bucket, minio.ListObjectsOptions{
		Prefix: codestory.KeyPrefix, Recursive: true, MaxKeys: 1, FetchOwner: &noOwner,
	}) {
		return object.Err
	}
	return ctx.Err() // the iterator ends without a word then
}

func (s *Store) makeBucket(ctx context.Context) error {
	err := s.core.MakeBucket(ctx, s.info.Bucket, minio.MakeBucketOptions{Region: s.region})
	if codeOf(err) == minio.BucketAlreadyOwnedByYou { // by somebody who was quicker
		return nil
	}
	if err == nil {
		s.log.Info("made the bucket", "bucket", s.info.Bucket, "endpoint", s.info.Endpoint)
	}
	return err
}
