package s3

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/minio/minio-go/v7"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/remote"
)

const (
	// smallBody is the size, in bytes, up to which a body is held in memory while it is sent.
	smallBody = 128 << 10
	// maxObject is the most that S3 takes, in bytes.
	maxObject = 5 << 40
)

// Put implements remote.Store: with one PUT, or for a large object in parts, with an upload that is resumed after an
// interruption. The Object, and the store's metadata, have the MD5 of the whole for objects of up to 1 GiB. Larger ones
// have none: the MD5s of their parts prove them.
func (s *Store) Put(ctx context.Context, key string, src remote.Source, opts remote.PutOptions) (remote.Object, error) {
	if err := storable(key, src.Size()); err != nil {
		return remote.Object{}, err
	}
	if src.Size() > s.sizes.partsAbove {
		return s.putInParts(ctx, key, src, opts)
	}
	crc := minio.ChecksumCRC64NVME.Hasher()
	body := remote.NewBody(src, crc, opts.Meter())
	defer body.Close()
	defer s.watchSilence(opts, func() (string, bool) { return body.Sum(), body.Complete() })()
	info, sent, err := s.send(ctx, key, body, src.Size(), opts)
	if cause := body.Err(); cause != nil && ctx.Err() == nil {
		return remote.Object{}, fmt.Errorf("put %s: %w", key, cause)
	}
	if err != nil {
		failed := s.fail(ctx, "put "+key, err)
		if sent && unanswered(err) {
			return remote.Object{}, &remote.UnansweredError{ETag: body.Sum(), Err: failed}
		}
		return remote.Object{}, failed
	}
	if !body.Complete() || info.ETag == "" {
		return remote.Object{}, s.fail(ctx, "put "+key, &foreignError{status: "200 OK, without an ETag of what was sent"})
	}
	if err := s.prove(ctx, key, info, body.Sum(), base64.StdEncoding.EncodeToString(crc.Sum(nil))); err != nil {
		return remote.Object{}, fmt.Errorf("put %s: %w", key, err)
	}
	return remote.Object{
		Key: key, Size: src.Size(), ETag: info.ETag, MD5: body.Sum(), ContentType: opts.ContentType,
	}, nil
}

func storable(key string, size int64) error {
	switch {
	case key == "" || len(key) > codestory.MaxKeyBytes || !utf8.ValidString(key):
		return codestory.Block("S3 takes names of 1 to 1,024 bytes of UTF-8: rename the file", fmt.Errorf("put %q", key))
	case size > maxObject:
		return codestory.Block(fmt.Sprintf("the file has %d bytes, and S3 takes at most 5 TiB (%d): split it",
			size, int64(maxObject)), fmt.Errorf("put %s", key))
	default:
		return nil
	}
}

// send sends the one request, and reports whether the connection took all of the body. A small body is read first: its
// digests are in the headers, as buckets with Object Lock demand. A large one is streamed: over http minio-go signs it
// piece by piece, over https TLS protects it.
func (s *Store) send(ctx context.Context, key string, body *remote.Body, size int64, opts remote.PutOptions,
) (info minio.UploadInfo, sent bool, err error) {
	put := minio.PutObjectOptions{ContentType: opts.ContentType, UserMetadata: headerValues(opts.Metadata)}
	if size > smallBody {
		info, err = s.core.PutObject(ctx, s.info.Bucket, key, body, size, "", "", put)
		return info, body.Complete(), err
	}
	buf := s.small.Get().(*[smallBody + 1]byte)
	defer s.small.Put(buf)
	n, err := io.ReadFull(body, buf[:size+1])
	if err != io.EOF && err != io.ErrUnexpectedEOF { // it ends where it said
		return minio.UploadInfo{}, false, err
	}
	content := bytes.NewReader(buf[:n])
	sha := sha256.Sum256(buf[:n])
	put.DisableContentSha256 = true
	info, err = s.core.PutObject(ctx, s.info.Bucket, key, content, size, base64OfHex(body.Sum()), hex.EncodeToString(sha[:]), put)
	return info, content.Len() == 0, err
}

// headerValues are user metadata as S3 wants them in headers: values that are not ASCII are encoded as in RFC 2047. AWS
// returns them so too, and clients decode them.
func headerValues(metadata map[string]string) map[string]string {
	values := make(map[string]string, len(metadata)+1)
	for name, value := range metadata {
		values[name] = mime.BEncoding.Encode("UTF-8", value)
	}
	return values
}

// base64OfHex is a digest that headers have in base64.
func base64OfHex(digest string) string {
	raw, _ := hex.DecodeString(digest) // it was encoded here
	return base64.StdEncoding.EncodeToString(raw)
}

// prove returns nil if the server has stored what was sent. The ETag of a PUT is the MD5 of the content, unless the server
// encrypts it with a key of a KMS or the bucket is a directory bucket: it looks the same then and means nothing. AWS
// returns a CRC64NVME in any case; from other servers the content is read back.
func (s *Store) prove(ctx context.Context, key string, info minio.UploadInfo, sum, crc string) error {
	switch {
	case strings.EqualFold(info.ETag, sum), info.ChecksumCRC64NVME == crc:
		return nil
	case info.ChecksumCRC64NVME != "":
		return fmt.Errorf("the server has a CRC64NVME of %s, what was sent has %s", info.ChecksumCRC64NVME, crc)
	}
	stored := md5.New()
	if err := s.readBack(ctx, key, info.ETag, stored); err != nil {
		return fmt.Errorf("the ETag %s is not the MD5 %s of what was sent: %w", info.ETag, sum, err)
	}
	if got := hex.EncodeToString(stored.Sum(nil)); got != sum {
		return fmt.Errorf("the server has an object with MD5 %s, what was sent has %s", got, sum)
	}
	return nil
}

// readBack writes the content of the object to w, if the object still has that ETag.
func (s *Store) readBack(ctx context.Context, key, etag string, w io.Writer) error {
	var opts minio.GetObjectOptions
	if err := opts.SetMatchETag(etag); err != nil {
		return err
	}
	content, _, _, err := s.core.GetObject(ctx, s.info.Bucket, key, opts)
	if err == nil {
		_, err = io.Copy(w, content)
		err = errors.Join(err, content.Close())
	}
	if err != nil {
		return s.fail(ctx, "reading it back", err)
	}
	return nil
}

// watchSilence calls opts.Silent if stop is not called soon, and everything was sent by then.
func (s *Store) watchSilence(opts remote.PutOptions, sent func() (etag string, all bool)) (stop func()) {
	if opts.Silent == nil {
		return func() {}
	}
	t := time.AfterFunc(s.silence, func() {
		if etag, all := sent(); all {
			opts.Silent(etag)
		}
	})
	return func() { t.Stop() }
}

// unanswered reports whether err is of a request that the server may still be working on: no answer came, or that of a
// proxy that did not want to wait.
func unanswered(err error) bool {
	if answer, ok := errors.AsType[minio.ErrorResponse](err); ok {
		switch answer.StatusCode {
		case http.StatusInternalServerError, http.StatusBadGateway, http.StatusGatewayTimeout:
			return true
		default:
			return false
		}
	}
	_, foreign := errors.AsType[*foreignError](err)
	return !foreign
}
