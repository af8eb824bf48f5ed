package s3

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"hash"

	"github.com/minio/minio-go/v7"
)

// sums are digests of what is sent, of the kinds that a server may answer with where its ETag is no MD5. The CRCs cost
// next to nothing. SHA-256 does not, and is made only once the server was seen to answer with it; what it stored until
// then was read back.
type sums struct {
	crc64, crc32c hash.Hash
	sha           hash.Hash // nil where it is not made
}

func (s *Store) newSums() *sums {
	d := &sums{crc64: minio.ChecksumCRC64NVME.Hasher(), crc32c: minio.ChecksumCRC32C.Hasher()}
	if s.answersSHA.Load() {
		d.sha = sha256.New()
	}
	return d
}

func (d *sums) Write(p []byte) (int, error) {
	d.crc64.Write(p)
	d.crc32c.Write(p)
	if d.sha != nil {
		d.sha.Write(p)
	}
	return len(p), nil
}

// agree reports whether a checksum that the server made is that of what was sent; false without an error where there is
// none to compare.
func (d *sums) agree(info minio.UploadInfo) (bool, error) {
	for _, c := range []struct {
		name, theirs string
		ours         hash.Hash
	}{
		{"CRC64NVME", info.ChecksumCRC64NVME, d.crc64},
		{"CRC32C", info.ChecksumCRC32C, d.crc32c},
		{"SHA-256", info.ChecksumSHA256, d.sha},
	} {
		if c.theirs == "" || c.ours == nil {
			continue
		}
		if ours := base64.StdEncoding.EncodeToString(c.ours.Sum(nil)); ours != c.theirs {
			return false, fmt.Errorf("the server has a %s of %s, what was sent has %s", c.name, c.theirs, ours)
		}
		return true, nil
	}
	return false, nil
}
