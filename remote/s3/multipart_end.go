package s3

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/minio/minio-go/v7"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/remote"
)

// complete makes the object of its parts, once, and returns its ETag after it is proved. Where it is not known whether
// the server has done so, what is under the key says it; if that is not the object, the next attempt completes it.
func (u *upload) complete(ctx context.Context) (etag string, err error) {
	parts := make([]minio.CompletePart, len(u.state.Parts))
	for i, p := range u.state.Parts {
		parts[i] = minio.CompletePart{PartNumber: i + 1, ETag: p.ETag}
	}
	doing := "complete " + u.key
	whole := u.state.etag()
	answered := u.store.tellSilence(u.opts, func() (string, bool) { return whole, true })
	info, err := u.store.core.CompleteMultipartUpload(ctx, u.store.info.Bucket, u.key, u.state.ID, parts,
		minio.PutObjectOptions{})
	answered()
	if err == nil && info.ETag == "" {
		err = &foreignError{status: "200 OK, without an ETag"}
	}
	if err == nil {
		if err := u.prove(ctx, info); err != nil {
			return "", fmt.Errorf("%s: %w", doing, err)
		}
		return info.ETag, nil
	}
	open, silent := uncertain(err), unanswered(err)
	err = u.fail(ctx, doing, err)
	if silent {
		err = &remote.UnansweredError{ETag: whole, Err: err}
	}
	if !open || ctx.Err() != nil {
		return "", err
	}
	etag, asking := u.find(ctx, errors.Is(err, errUploadGone))
	switch {
	case asking != nil:
		return "", fmt.Errorf("%w; asking whether it is there: %w", err, asking)
	case etag == "":
		return "", u.forgetIfGone(err)
	default:
		return etag, nil
	}
}

// uncertain reports whether err leaves it open if the server has done what it was asked for.
func uncertain(err error) bool {
	answer, ok := errors.AsType[minio.ErrorResponse](err)
	return !ok || answer.StatusCode < 300 || answer.StatusCode >= 500 || answer.Code == minio.NoSuchUpload
}

// unanswered reports whether err is of a request that the server may still be at work on: nothing came back, or the word
// of a proxy that did not want to wait.
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

// forgetIfGone returns err, having taken the upload out of the ledger if err says that it is gone.
func (u *upload) forgetIfGone(err error) error {
	if !errors.Is(err, errUploadGone) {
		return err
	}
	return errors.Join(err, u.reset())
}

// find looks whether the object is there already, all parts of which were sent, and returns its ETag; "" where it is
// not. If it is, the upload is aborted unless it is gone: the same bytes may have been there before it.
func (u *upload) find(ctx context.Context, gone bool) (etag string, err error) {
	info, err := u.store.core.StatObject(ctx, u.store.info.Bucket, u.key, minio.StatObjectOptions{})
	if err != nil {
		err = u.store.failObject(ctx, "stat", u.key, err)
		if errors.Is(err, codestory.ErrNotFound) {
			return "", nil
		}
		return "", err
	}
	switch {
	case info.ETag == "":
		return "", u.store.fail(ctx, "stat "+u.key, &foreignError{status: "200 OK, without an ETag"})
	case info.Size != u.state.Size:
		return "", nil
	case strings.EqualFold(info.ETag, u.state.etag()):
	case u.state.opaque():
		same, err := u.readBack(ctx, info.ETag)
		if err != nil || !same {
			return "", err
		}
	default:
		return "", nil
	}
	if gone {
		return info.ETag, nil
	}
	return info.ETag, u.store.abort(ctx, u.key, u.state.ID)
}

// prove returns nil where the server has made the object of what was sent. Its ETag says so unless it is encrypted
// with a key of a KMS; AWS answers with a CRC of its own making too, and anybody else is asked for the content.
func (u *upload) prove(ctx context.Context, info minio.UploadInfo) error {
	if strings.EqualFold(info.ETag, u.state.etag()) {
		return nil
	}
	if theirs, ours := info.ChecksumCRC64NVME, u.state.crc(); theirs != "" && ours != "" {
		if theirs != ours {
			return fmt.Errorf("the server has a CRC64NVME of %s, what was sent has %s", theirs, ours)
		}
		return nil
	}
	same, err := u.readBack(ctx, info.ETag)
	if err != nil {
		return fmt.Errorf("the ETag %s is not the %s of what was sent: %w", info.ETag, u.state.etag(), err)
	}
	if !same {
		return fmt.Errorf("the server has an object with ETag %s that is not what was sent", info.ETag)
	}
	return nil
}

// readBack reads the object, if it is still the one with that ETag, and reports whether it is made of the parts that
// were sent.
func (u *upload) readBack(ctx context.Context, etag string) (same bool, err error) {
	var opts minio.GetObjectOptions
	if err := opts.SetMatchETag(etag); err != nil {
		return false, err
	}
	content, _, _, err := u.store.core.GetObject(ctx, u.store.info.Bucket, u.key, opts)
	if err != nil {
		return false, u.store.fail(ctx, "reading it back", err)
	}
	defer content.Close()
	for i, part := range u.state.Parts {
		_, length := u.state.part(i + 1)
		sum := md5.New()
		n, err := io.Copy(sum, io.LimitReader(content, length))
		if err != nil {
			return false, u.store.fail(ctx, "reading it back", err)
		}
		if n != length || hex.EncodeToString(sum.Sum(nil)) != part.MD5 {
			return false, nil
		}
	}
	return true, nil
}

// Abort implements remote.Aborter by at most one request, which names the upload.
func (s *Store) Abort(ctx context.Context, key string, state []byte) error {
	id := idOfState(state)
	if id == "" {
		return nil
	}
	return s.abort(ctx, key, id)
}

// abort ends the upload with that id, which is not empty: without one, some servers would delete the object.
func (s *Store) abort(ctx context.Context, key, id string) error {
	err := s.core.AbortMultipartUpload(ctx, s.info.Bucket, key, id)
	answer, refused := errors.AsType[minio.ErrorResponse](err)
	if err == nil || refused && answer.StatusCode == http.StatusNotFound && answer.Code == minio.NoSuchUpload {
		return nil
	}
	return s.fail(ctx, "abort an upload of "+key, err)
}
