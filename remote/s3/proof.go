package s3

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"hash"
	"regexp"
	"strconv"
	"strings"

	"github.com/minio/minio-go/v7"

	"github.com/codestory/codestoryd/remote"
)

// Proof implements remote.Prover, for objects whose MD5 is not known: by a checksum that the server has of the whole,
// else by the ETag of an upload in parts, which is made of their MD5s. It takes one or two HEADs.
func (s *Store) Proof(ctx context.Context, object remote.Object) (remote.Proof, error) {
	info, err := s.describe(ctx, object, minio.StatObjectOptions{Checksum: true})
	if err != nil {
		return nil, err
	}
	for _, known := range checksumsOf(info) {
		return remote.NewProof(known.name, known.hash(), known.sum), nil
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
		return &partsProof{partSums{size: size, hash: md5.New()}, object.ETag}, nil
	}
	return nil, nil // the parts are not all of one size
}

// describe is a HEAD of that version of the object.
func (s *Store) describe(ctx context.Context, object remote.Object, opts minio.StatObjectOptions) (minio.ObjectInfo, error) {
	info, err := s.core.StatObject(ctx, s.info.Bucket, object.Key, opts)
	if err != nil {
		return info, s.failObject(ctx, "stat", object.Key, err)
	}
	if info.ETag != object.ETag {
		return info, fmt.Errorf("stat %s: %w: it has ETag %s", object.Key, remote.ErrReplaced, info.ETag)
	}
	return info, nil
}

// checksum is one that the server has of an object's content.
type checksum struct {
	name string
	hash func() hash.Hash
	sum  []byte
}

// checksumsOf are those of the whole object, the cheapest first. Of an object in parts some servers have a checksum of
// the parts' checksums, which is marked by their number.
func checksumsOf(info minio.ObjectInfo) []checksum {
	var known []checksum
	for _, c := range []struct {
		name, sum string
		hash      func() hash.Hash
	}{
		{"CRC64NVME", info.ChecksumCRC64NVME, minio.ChecksumCRC64NVME.Hasher},
		{"CRC32C", info.ChecksumCRC32C, minio.ChecksumCRC32C.Hasher},
		{"CRC32", info.ChecksumCRC32, minio.ChecksumCRC32.Hasher},
		{"SHA-256", info.ChecksumSHA256, sha256.New},
	} {
		sum, err := base64.StdEncoding.DecodeString(c.sum)
		if err == nil && len(sum) > 0 && info.ChecksumMode != "COMPOSITE" {
			known = append(known, checksum{c.name, c.hash, sum})
		}
	}
	return known
}

var partsETag = regexp.MustCompile(`^[0-9a-f]{32}-([1-9][0-9]{0,4})$`)

// partsOf is the number of parts that an ETag is made of; 0 where it is not of that form.
func partsOf(etag string) int {
	match := partsETag.FindStringSubmatch(strings.ToLower(etag))
	if match == nil {
		return 0
	}
	n, _ := strconv.Atoi(match[1]) // it has nothing but digits
	return n
}

// partsProof is by the ETag of an upload in parts of one size.
type partsProof struct {
	partSums
	etag string
}

func (p *partsProof) Verify() error {
	whole := md5.New()
	sums := p.sums()
	for _, sum := range sums {
		raw, _ := base64.StdEncoding.DecodeString(sum) // it was encoded there
		whole.Write(raw)
	}
	if got := fmt.Sprintf("%x-%d", whole.Sum(nil), len(sums)); !strings.EqualFold(got, p.etag) {
		return fmt.Errorf("%w: their ETag would be %s, that of the object is %s", remote.ErrDiffers, got, p.etag)
	}
	return nil
}
