package s3

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/minio/minio-go/v7"

	"github.com/codestory/codestoryd/remote"
)

// List implements remote.Lister by one request for each 1,000 objects. A list has the ETags, but does not say which are
// MD5s. A directory bucket of AWS lists in no order, which is an error here.
func (s *Store) List(ctx context.Context, prefix, after string) iter.Seq2[remote.Object, error] {
	return func(yield func(remote.Object, error) bool) {
		doing := "list " + prefix
		noOwner := false
		last := after
		for info := range s.core.ListObjectsIter(ctx, s.info.Bucket, minio.ListObjectsOptions{
			Prefix: prefix, StartAfter: after, Recursive: true, MaxKeys: 1000, FetchOwner: &noOwner,
		}) {
			switch {
			case info.Err != nil:
				yield(remote.Object{}, s.fail(ctx, doing, info.Err))
				return
			case info.Key <= last:
				yield(remote.Object{}, fmt.Errorf("%s: %w: after %q comes %q", doing, errors.ErrUnsupported, last, info.Key))
				return
			}
			last = info.Key
			if !yield(remote.Object{Key: info.Key, Size: info.Size, ETag: info.ETag, Modified: info.LastModified}, nil) {
				return
			}
		}
		if err := ctx.Err(); err != nil { // with which the iterator ends silently
			yield(remote.Object{}, fmt.Errorf("%s: %w", doing, err))
		}
	}
}
