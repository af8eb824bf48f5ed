package s3

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/minio/minio-go/v7"

	"github.com/codestory/codestoryd/remote"
)

// maxRemove is how many objects S3 deletes with one request.
const maxRemove = 1000

var errNotDeleted = errors.New("the server's answer does not say that it was deleted")

// Remove implements remote.Remover by one request for each 1,000 keys. It skips keys that S3 cannot have.
func (s *Store) Remove(ctx context.Context, keys []string) error {
	possible := make([]string, 0, len(keys))
	for _, key := range keys {
		if storable(key, 0) == nil {
			possible = append(possible, key)
		}
	}
	failed := map[string]error{}
	for batch := range slices.Chunk(possible, maxRemove) {
		if err := s.removeBatch(ctx, batch, failed); err != nil {
			return fmt.Errorf("deleting %d objects: %w", len(keys), err)
		}
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("deleting %d objects: %w", len(keys), err)
	}
	if len(failed) > 0 {
		return &remote.RemoveError{Failed: failed}
	}
	return nil
}

// removeBatch deletes the objects and adds those that were refused to failed. A key that the answer does not name as
// deleted counts as refused, because minio-go leaves out some refusals.
func (s *Store) removeBatch(ctx context.Context, keys []string, failed map[string]error) error {
	results, err := s.core.RemoveObjectsWithIter(ctx, s.info.Bucket, func(yield func(minio.ObjectInfo) bool) {
		for _, key := range keys {
			if !yield(minio.ObjectInfo{Key: key}) {
				return
			}
		}
	}, minio.RemoveObjectsOptions{})
	if err != nil {
		return s.fail(ctx, "delete", err)
	}
	left := make(map[string]bool, len(keys))
	for _, key := range keys {
		left[key] = true
	}
	for result := range results {
		if result.Err == nil {
			delete(left, result.ObjectName)
			continue
		}
		if answer, ok := errors.AsType[minio.ErrorResponse](result.Err); !ok || answer.StatusCode != 0 {
			return s.fail(ctx, "delete", result.Err) // of the request, not of one of its keys
		}
		failed[result.ObjectName] = s.fail(ctx, "delete "+result.ObjectName, result.Err)
		delete(left, result.ObjectName)
	}
	for key := range left {
		failed[key] = fmt.Errorf("delete %s: %w", key, errNotDeleted)
	}
	return ctx.Err()
}
