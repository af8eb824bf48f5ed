package s3

import (
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/minio/minio-go/v7"

	"github.com/codestory/codestoryd/remote"
)

// Stat implements remote.Store by one HEAD. Where its answer is a 404, which has no body to say what of, a GET is sent
// after it: to take a bucket, or a user, that is missing for an absent object would be to know what nobody has said.
func (s *Store) Stat(ctx context.Context, key string) (remote.Object, error) {
	info, err := s.core.StatObject(ctx, s.info.Bucket, key, minio.StatObjectOptions{})
	if answer, ok := errors.AsType[minio.ErrorResponse](err); ok && answer.StatusCode == http.StatusNotFound && ctx.Err() == nil {
		body, object, err := s.Open(ctx, key, 0, -1)
		if err != nil {
			return remote.Object{}, err
		}
		body.Close() // it was made just now
		return object, nil
	}
	if err != nil {
		return remote.Object{}, s.failObject(ctx, "stat", key, err)
	}
	return s.object(ctx, key, info)
}

// Open implements remote.Store by one GET, or by one HEAD where the range is empty.
func (s *Store) Open(ctx context.Context, key string, offset, length int64) (io.ReadCloser, remote.Object, error) {
	var opts minio.GetObjectOptions
	return s.open(ctx, key, opts, offset, length)
}

// OpenVersion implements remote.VersionOpener: the server compares the ETag before it sends anything.
func (s *Store) OpenVersion(ctx context.Context, object remote.Object, offset, length int64) (io.ReadCloser, error) {
	var opts minio.GetObjectOptions
	if err := opts.SetMatchETag(object.ETag); err != nil {
		return nil, fmt.Errorf("open %s: %w", object.Key, err)
	}
	body, opened, err := s.open(ctx, object.Key, opts, offset, length)
	if err != nil {
		return nil, err
	}
	if opened.ETag != object.ETag { // a server that knows no If-Match
		body.Close()
		return nil, fmt.Errorf("open %s: %w: it has ETag %s", object.Key, remote.ErrReplaced, opened.ETag)
	}
	return body, nil
}

func (s *Store) open(ctx context.Context, key string, opts minio.GetObjectOptions, offset, length int64,
) (io.ReadCloser, remote.Object, error) {
	if length == 0 {
		return s.openNothing(ctx, key)
	}
	part := offset > 0 || length > 0
	if part {
		last := ""
		if length > 0 {
			last = strconv.FormatInt(offset+length-1, 10)
		}
		opts.Set("Range", fmt.Sprintf("bytes=%d-%s", offset, last))
	}
	body, info, header, err := s.core.GetObject(ctx, s.info.Bucket, key, opts)
	if answer, ok := errors.AsType[minio.ErrorResponse](err); ok &&
		answer.StatusCode == http.StatusRequestedRangeNotSatisfiable && ctx.Err() == nil {
		return s.openNothing(ctx, key)
	}
	if err != nil {
		return nil, remote.Object{}, s.failVersion(ctx, "open "+key, err)
	}
	object, err := s.object(ctx, key, info)
	if err == nil && part {
		object.Size, err = wholeSize(header.Get("Content-Range"))
	}
	if err != nil {
		body.Close()
		return nil, remote.Object{}, fmt.Errorf("open %s: %w", key, err)
	}
	return body, object, nil
}

// openNothing is for a range in which there is nothing, which HTTP has no words for.
func (s *Store) openNothing(ctx context.Context, key string) (io.ReadCloser, remote.Object, error) {
	object, err := s.Stat(ctx, key)
	if err != nil {
		return nil, remote.Object{}, err
	}
	return http.NoBody, object, nil
}

// wholeSize is the size of the object that a part comes from. A server that knows no ranges sends the whole, and no
// Content-Range.
func wholeSize(contentRange string) (int64, error) {
	_, size, _ := strings.Cut(contentRange, "/")
	n, err := strconv.ParseInt(size, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("the answer to a range has the Content-Range %q", contentRange)
	}
	return n, nil
}

// object is what a server's answer says of one. Every S3 server gives an ETag: without it, something else answered.
func (s *Store) object(ctx context.Context, key string, info minio.ObjectInfo) (remote.Object, error) {
	if info.ETag == "" {
		foreign := &foreignError{status: "200 OK, without an ETag", contentType: info.ContentType}
		return remote.Object{}, s.fail(ctx, "what there is of "+key, foreign)
	}
	return remote.Object{
		Key:         key,
		Size:        info.Size,
		ETag:        info.ETag,
		MD5:         s.md5Of(info),
		ContentType: info.ContentType,
		Modified:    info.LastModified,
	}, nil
}

// md5Of is the MD5 of the content in hexadecimal: the ETag where it is one, which it is not with several parts, nor with
// a key of a KMS or of the client; else what whoever put it left in the metadata that rclone keeps it in.
func (s *Store) md5Of(info minio.ObjectInfo) string {
	if s.isMD5(info) {
		return strings.ToLower(info.ETag)
	}
	sum, err := base64.StdEncoding.DecodeString(info.UserMetadata[md5Metadata])
	if err != nil || len(sum) != md5.Size {
		return ""
	}
	return hex.EncodeToString(sum)
}

// isMD5 reports whether the ETag is the MD5 of the content.
func (s *Store) isMD5(info minio.ObjectInfo) bool {
	sum, err := hex.DecodeString(info.ETag)
	if err != nil || len(sum) != md5.Size {
		return false
	}
	return !s.isOpaque(info)
}

// directorySuffix is what the names of AWS's directory buckets end with. Their ETags look like MD5s.
const directorySuffix = "--x-s3"

// isOpaque reports whether the ETag says nothing about the content: a key of a KMS or of the client is used, or the
// bucket gives others.
func (s *Store) isOpaque(info minio.ObjectInfo) bool {
	for name, values := range info.Metadata {
		if strings.HasPrefix(name, "X-Amz-Server-Side-Encryption") && values[0] != "AES256" {
			return true
		}
	}
	return strings.HasSuffix(s.info.Bucket, directorySuffix)
}
