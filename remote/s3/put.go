package s3

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/minio/minio-go/v7"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/remote"
)

// Put implements remote.Store, by one PUT or, for a large object, in parts that go on where they were cut off. In the
// Object, and in the store's metadata, the MD5 is that of the whole for objects of up to 1 GiB. Larger ones have none:
// they are proved by the MD5s of their parts.
func (s *Store) Put(ctx context.Context, key string, src remote.Source, opts remote.PutOptions) (remote.Object, error) {
	if err := storable(key, src.Size()); err != nil {
		return remote.Object{}, err
	}
	ctx = withPatience(ctx, opts.Patience)
	if src.Size() > s.sizes.partsAbove {
		return s.putInParts(ctx, key, src, opts)
	}
	sums := s.newSums()
	body := remote.NewBody(src, sums, opts.Meter())
	defer body.Close()
	defer s.tellSilence(opts, func() (string, bool) { return body.Sum(), body.Complete() })()
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
	if err := s.prove(ctx, key, info, body, sums); err != nil {
		return remote.Object{}, fmt.Errorf("put %s: %w", key, err)
	}
	return remote.Object{
		Key: key, Size: src.Size(), ETag: info.ETag, MD5: body.Sum(), ContentType: opts.ContentType,
	}, nil
}

// tellSilence tells that no answer came for a while to what was sent whole soon, and which ETag that has. stop is for when
// one has come.
func (s *Store) tellSilence(opts remote.PutOptions, sent func() (etag string, whole bool)) (stop func()) {
	if opts.Silent == nil {
		return func() {}
	}
	t := time.AfterFunc(s.silence, func() {
		if etag, whole := sent(); whole {
			opts.Silent(etag)
		}
	})
	return func() { t.Stop() }
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

// send makes the one request, and reports whether all of the body was handed to the connection. A small body is read
// first, and signed as what it is. Of a large one no more than a piece is held: over http minio-go signs it piece by piece
// as it is read, over https TLS guards it.
func (s *Store) send(ctx context.Context, key string, body *remote.Body, size int64, opts remote.PutOptions,
) (info minio.UploadInfo, sent bool, err error) {
	put := minio.PutObjectOptions{ContentType: opts.ContentType, UserMetadata: headerValues(opts.Metadata)}
	if size > smallBody {
		info, err = s.core.PutObject(ctx, s.info.Bucket, key, body, size, "", "", put)
		return info, body.Complete(), err
	}
	buf := s.small.take()
	defer s.small.giveBack(buf)
	n, err := io.ReadFull(body, buf[:size+1])
	if err != io.EOF && err != io.ErrUnexpectedEOF { // it ends where it said
		return minio.UploadInfo{}, false, err
	}
	content := bytes.NewReader(buf[:n])
	sum := sha256.Sum256(buf[:n])
	put.DisableContentSha256 = true
	info, err = s.core.PutObject(ctx, s.info.Bucket, key, content, size, "", hex.EncodeToString(sum[:]), put)
	return info, content.Len() == 0, err
}

// prove returns nil where the server has stored what was sent. The ETag of a PUT is the MD5 of the content, unless the
// server encrypts it with a key of a KMS, or keeps it in a directory bucket: then it is just as long and means nothing.
// AWS answers with a checksum of its own making in any case, and who does not is asked for the content.
func (s *Store) prove(ctx context.Context, key string, info minio.UploadInfo, body *remote.Body, sums *sums) error {
	if strings.EqualFold(info.ETag, body.Sum()) {
		return nil
	}
	if proved, err := sums.agree(info); proved || err != nil {
		return err
	}
	if info.ChecksumSHA256 != "" {
		s.answersSHA.Store(true)
	}
	sum, err := s.digest(ctx, key, info.ETag)
	if err != nil {
		return fmt.Errorf("the ETag %s is not the MD5 %s of what was sent: %w", info.ETag, body.Sum(), err)
	}
	if sum != body.Sum() {
		return fmt.Errorf("the server has an object with MD5 %s, what was sent has %s", sum, body.Sum())
	}
	return nil
}

// digest reads the object, if it is still the one with that ETag, and returns its MD5 in hexadecimal.
func (s *Store) digest(ctx context.Context, key, etag string) (string, error) {
	var opts minio.GetObjectOptions
	if err := opts.SetMatchETag(etag); err != nil {
		return "", err
	}
	content, _, _, err := s.core.GetObject(ctx, s.info.Bucket, key, opts)
	if err != nil {
		return "", s.fail(ctx, "reading it back", err)
	}
	sum := md5.New()
	_, err = io.Copy(sum, content)
	if err := errors.Join(err, content.Close()); err != nil {
		return "", s.fail(ctx, "reading it back", err)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
