package s3

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/minio/minio-go/v7"

	"github.com/codestory/codestoryd/remote"
)

// Stat implements remote.Store by one HEAD. A 404 to that has no body to say what was not found, so a GET follows: a
// missing bucket or user must not look like an absent object.
func (s *Store) Stat(ctx context.Context, key string) (remote.Object, error) {
	info, err := s.core.StatObject(ctx, s.info.Bucket, key, minio.StatObjectOptions{})
	if answer, ok := errors.AsType[minio.ErrorResponse](err); ok && answer.StatusCode == http.StatusNotFound && ctx.Err() == nil {
		body, object, err := s.Open(ctx, key, 0, -1)
		if err != nil {
			return remote.Object{}, err
		}
		body.Close() // it was stored just now
		return object, nil
	}
	if err != nil {
		return remote.Object{}, s.failVersion(ctx, "stat "+key, err)
	}
	return s.object(ctx, key, info)
}

// Open implements remote.Store by one GET, or by one HEAD if the range is empty.
func (s *Store) Open(ctx context.Context, key string, offset, length int64) (io.ReadCloser, remote.Object, error) {
	if length == 0 {
		return s.openNothing(ctx, key)
	}
	var opts minio.GetObjectOptions
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

// openNothing is for an empty range, which HTTP cannot express.
func (s *Store) openNothing(ctx context.Context, key string) (io.ReadCloser, remote.Object, error) {
	object, err := s.Stat(ctx, key)
	if err != nil {
		return nil, remote.Object{}, err
	}
	return http.NoBody, object, nil
}

// wholeSize is the size of the object that a range is of. A server without ranges sends the whole, and no Content-Range.
func wholeSize(contentRange string) (int64, error) {
	_, size, _ := strings.Cut(contentRange, "/")
	n, err := strconv.ParseInt(size, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("the answer to a range has the Content-Range %q", contentRange)
	}
	return n, nil
}

// object is what a server's answer says of one. Every S3 server returns an ETag: without it, something else answered.
func (s *Store) object(ctx context.Context, key string, info minio.ObjectInfo) (remote.Object, error) {
	if info.ETag == "" {
		foreign := &foreignError{status: "200 OK, without an ETag", contentType: info.ContentType}
		return remote.Object{}, s.fail(ctx, "describe "+key, foreign)
	}
	return remote.Object{
		Key: key, Size: info.Size, ETag: info.ETag, MD5: s.md5Of(info), ContentType: info.ContentType, Modified: info.LastModified,
	}, nil
}

// md5Of is the MD5 of the content in hexadecimal: the ETag if it is one, else what its uploader left in the metadata that
// rclone keeps it in.
func (s *Store) md5Of(info minio.ObjectInfo) string {
	if sum, err := hex.DecodeString(info.ETag); err == nil && len(sum) == md5.Size && !s.isOpaque(info) {
		return strings.ToLower(info.ETag)
	}
	sum, err := base64.StdEncoding.DecodeString(info.UserMetadata[md5Metadata])
	if err != nil || len(sum) != md5.Size {
		return ""
	}
	return hex.EncodeToString(sum)
}

// directorySuffix is what the names of AWS's directory buckets end with. Their ETags look like MD5s.
const directorySuffix = "--x-s3"

// isOpaque reports whether the ETag says nothing about the content: the object is encrypted with a key of a KMS or of the
// client, or in a directory bucket.
func (s *Store) isOpaque(info minio.ObjectInfo) bool {
	for name, values := range info.Metadata {
		if strings.HasPrefix(name, "X-Amz-Server-Side-Encryption") && values[0] != "AES256" {
			return true
		}
	}
	return strings.HasSuffix(s.info.Bucket, directorySuffix)
}

// Proof implements remote.Prover, for objects whose MD5 is not known: by a checksum that the server has of the whole, else
// by the ETag of an upload in parts. It takes one or two HEADs.
func (s *Store) Proof(ctx context.Context, object remote.Object) (remote.Proof, error) {
	info, err := s.describe(ctx, object, minio.StatObjectOptions{Checksum: true})
	if err != nil {
		return nil, err
	}
	for _, c := range []struct {
		name, sum string
		hash      func() hash.Hash
	}{
		{"CRC64NVME", info.ChecksumCRC64NVME, minio.ChecksumCRC64NVME.Hasher},
		{"CRC32C", info.ChecksumCRC32C, minio.ChecksumCRC32C.Hasher},
		{"SHA-256", info.ChecksumSHA256, sha256.New},
	} {
		sum, err := base64.StdEncoding.DecodeString(c.sum)
		if err == nil && len(sum) > 0 && info.ChecksumMode != "COMPOSITE" { // made of the parts' checksums
			return remote.NewProof(c.name, c.hash(), sum), nil
		}
	}
	parts := partsOf(object.ETag)
	if parts == 0 || s.isOpaque(info) {
		return nil, nil
	}
	first, err := s.describe(ctx, object, minio.StatObjectOptions{PartNumber: 1})
	if err != nil {
		return nil, err
	}
	if size := first.Size; size > 0 && (object.Size+size-1)/size == int64(parts) {
		return &partsProof{newPartsHash(size), object.ETag}, nil
	}
	return nil, nil // the parts are not all of one size
}

// describe is a HEAD of that version of the object.
func (s *Store) describe(ctx context.Context, object remote.Object, opts minio.StatObjectOptions) (minio.ObjectInfo, error) {
	info, err := s.core.StatObject(ctx, s.info.Bucket, object.Key, opts)
	if err != nil {
		return info, s.failVersion(ctx, "stat "+object.Key, err)
	}
	if info.ETag != object.ETag {
		return info, fmt.Errorf("stat %s: %w: it has ETag %s", object.Key, remote.ErrReplaced, info.ETag)
	}
	return info, nil
}

var partsETag = regexp.MustCompile(`^[0-9a-fA-F]{32}-([1-9][0-9]{0,4})$`)

// partsOf is the number of parts that an ETag is made of; 0 if it is of another form.
func partsOf(etag string) int {
	match := partsETag.FindStringSubmatch(etag)
	if match == nil {
		return 0
	}
	n, _ := strconv.Atoi(match[1]) // it has only digits
	return n
}

// partsProof verifies the ETag of an upload in parts of one size.
type partsProof struct {
	*partsHash
	want string
}

func (p *partsProof) Verify() error {
	if got := p.etag(); !strings.EqualFold(got, p.want) {
		return fmt.Errorf("%w: the ETag would be %s, the object has %s", remote.ErrDiffers, got, p.want)
	}
	return nil
}
