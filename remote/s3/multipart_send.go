package s3

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"strings"
	"sync/atomic"

	"github.com/minio/minio-go/v7"
	"golang.org/x/sync/errgroup"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/remote"
)

// send sends the parts that the server does not have, a few at once. After an error no further part is begun; those on
// their way are sent to their end, so that the next attempt need not, unless the file has changed.
func (u *upload) send(ctx context.Context, listed map[int]minio.ObjectPart) error {
	sending, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var failed atomic.Bool
	var workers errgroup.Group
	workers.SetLimit(partsAtOnce)
	for i := range u.parts {
		p := &u.parts[i]
		workers.Go(func() error {
			if failed.Load() {
				return nil
			}
			err := u.sendPart(sending, p, listed[p.number])
			if err == nil {
				return nil
			}
			failed.Store(true)
			err = fmt.Errorf("part %d: %w", p.number, err)
			if errors.Is(err, codestory.ErrChanged) {
				stop(err)
			}
			return err
		})
	}
	err := workers.Wait()
	if ended := context.Cause(sending); ended != nil {
		err = ended
	}
	if err != nil {
		return err
	}
	if u.state.CRC != "" && u.state.CRC != u.crc() {
		return fmt.Errorf("%w: after its MD5 was computed", codestory.ErrChanged)
	}
	return nil
}

// sendPart reads the part, and sends it unless the server has it. What is sent has a Content-MD5, as buckets with Object
// Lock demand.
func (u *upload) sendPart(ctx context.Context, p *part, listed minio.ObjectPart) (err error) {
	put := minio.PutObjectPartOptions{DisableContentSha256: true}
	if u.store.signParts {
		sha := sha256.New()
		p.md5, p.crc, err = digest(ctx, p, sha)
		put.Sha256Hex = hex.EncodeToString(sha.Sum(nil))
	} else {
		p.md5, p.crc, err = digest(ctx, p)
	}
	if err != nil {
		return err
	}
	if listed.Size == p.size && (strings.EqualFold(listed.ETag, p.md5) || u.isOpaque()) {
		p.etag = listed.ETag
		if u.opts.Progress != nil {
			u.opts.Progress(p.size)
		}
		return nil
	}
	put.Md5Base64 = base64OfHex(p.md5)
	crc := minio.ChecksumCRC64NVME.Hasher()
	body := remote.NewUndigestedBody(p, crc, u.opts.Meter())
	defer body.Close()
	answer, err := u.store.core.PutObjectPart(ctx, u.store.info.Bucket, u.key, u.state.ID, p.number, body, p.size, put)
	if cause := body.Err(); cause != nil && ctx.Err() == nil {
		return cause
	}
	if err != nil {
		return u.store.fail(ctx, "send it", err)
	}
	if !body.Complete() || answer.ETag == "" {
		return u.store.fail(ctx, "send it", &foreignError{status: "200 OK, without an ETag of what was sent"})
	}
	if base64OfHex(hex.EncodeToString(crc.Sum(nil))) != p.crc {
		return fmt.Errorf("%w: between two readings", codestory.ErrChanged)
	}
	p.etag = answer.ETag
	if strings.EqualFold(p.etag, p.md5) {
		return nil
	}
	if theirs := answer.ChecksumCRC64NVME; theirs != "" && theirs != p.crc {
		return fmt.Errorf("the server has a CRC64NVME of %s, what was sent has %s", theirs, p.crc)
	}
	return u.noteOpaque()
}

func (u *upload) isOpaque() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.state.Opaque
}

// noteOpaque saves that the server's ETags are not MD5s: a part that it lists counts as sent then if its size is right,
// and the whole is proved after Complete.
func (u *upload) noteOpaque() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.state.Opaque {
		return nil
	}
	u.state.Opaque = true
	return u.save()
}

// complete makes the object of its parts, with one request, and returns its ETag after it is proved. If it is not known
// whether the server did it, the object under the key decides; if that is another, the next attempt completes the upload.
func (u *upload) complete(ctx context.Context) (etag string, err error) {
	parts := make([]minio.CompletePart, len(u.parts))
	for i, p := range u.parts {
		parts[i] = minio.CompletePart{PartNumber: p.number, ETag: p.etag}
	}
	doing := "complete " + u.key
	whole := u.etag()
	answered := u.store.watchSilence(u.opts, func() (string, bool) { return whole, true })
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
	cause := err
	err = u.store.fail(ctx, doing, cause)
	if unanswered(cause) {
		err = &remote.UnansweredError{ETag: whole, Err: err}
	}
	if !isUncertain(cause) || ctx.Err() != nil {
		return "", err
	}
	etag, asking := u.find(ctx)
	switch {
	case asking != nil:
		return "", fmt.Errorf("%w; asking whether it is there: %w", err, asking)
	case etag == "":
		return "", err
	case codeOf(cause) == minio.NoSuchUpload:
		return etag, nil
	default: // the same bytes may have been there before it
		return etag, u.store.abort(ctx, u.key, u.state.ID)
	}
}

// isUncertain reports whether the server may have done what err is the answer to.
func isUncertain(err error) bool {
	answer, ok := errors.AsType[minio.ErrorResponse](err)
	return !ok || answer.StatusCode < 300 || answer.StatusCode >= 500 || answer.Code == minio.NoSuchUpload
}

// find looks whether the file is stored already, and returns the ETag of the object; "" if it is not.
func (u *upload) find(ctx context.Context) (etag string, err error) {
	info, err := u.store.core.StatObject(ctx, u.store.info.Bucket, u.key, minio.StatObjectOptions{})
	if err != nil {
		err = u.store.failVersion(ctx, "stat "+u.key, err)
		if errors.Is(err, codestory.ErrNotFound) {
			return "", nil
		}
		return "", err
	}
	if info.ETag == "" {
		return "", u.store.fail(ctx, "stat "+u.key, &foreignError{status: "200 OK, without an ETag"})
	}
	if info.Size != u.src.Size() {
		return "", nil
	}
	for i := range u.parts {
		if p := &u.parts[i]; p.md5 == "" {
			if p.md5, p.crc, err = digest(ctx, p); err != nil {
				return "", fmt.Errorf("put %s: %w", u.key, err)
			}
		}
	}
	if strings.EqualFold(info.ETag, u.etag()) {
		return info.ETag, nil
	}
	if !u.isOpaque() {
		return "", nil
	}
	same, err := u.isStored(ctx, info.ETag)
	if err != nil || !same {
		return "", err
	}
	return info.ETag, nil
}

// prove returns nil if the server has made the object of what was sent. Its ETag says so unless it is encrypted with a key
// of a KMS; AWS returns a CRC of its own too, and from other servers the content is read back.
func (u *upload) prove(ctx context.Context, info minio.UploadInfo) error {
	if strings.EqualFold(info.ETag, u.etag()) {
		return nil
	}
	if theirs := info.ChecksumCRC64NVME; theirs != "" {
		if ours := u.crc(); theirs != ours {
			return fmt.Errorf("the server has a CRC64NVME of %s, what was sent has %s", theirs, ours)
		}
		return nil
	}
	same, err := u.isStored(ctx, info.ETag)
	if err == nil && !same {
		err = errors.New("it has other bytes than were sent")
	}
	if err != nil {
		return fmt.Errorf("the ETag %s is not the %s of what was sent: %w", info.ETag, u.etag(), err)
	}
	return nil
}

// isStored reads the object with that ETag back and reports whether it is made of the parts.
func (u *upload) isStored(ctx context.Context, etag string) (bool, error) {
	stored := newPartsHash(u.state.PartSize)
	err := u.store.readBack(ctx, u.key, etag, stored)
	return err == nil && stored.etag() == u.etag(), err
}

// etag is the ETag of the whole by S3's rule; see partsHash.
func (u *upload) etag() string {
	sums := md5.New()
	for _, p := range u.parts {
		sum, _ := hex.DecodeString(p.md5) // it was encoded here
		sums.Write(sum)
	}
	return fmt.Sprintf("%x-%d", sums.Sum(nil), len(u.parts))
}

// crc is the CRC64NVME of the whole in base64.
func (u *upload) crc() string {
	parts := make([]minio.ObjectPart, len(u.parts))
	for i, p := range u.parts {
		parts[i] = minio.ObjectPart{PartNumber: p.number, Size: p.size, ChecksumCRC64NVME: p.crc}
	}
	whole, err := minio.ChecksumCRC64NVME.FullObjectChecksum(parts)
	if err != nil {
		return ""
	}
	return whole.Encoded()
}

// partsHash computes the ETag that S3 gives to an object of equal parts: the MD5 of the parts' MD5s, and their number.
type partsHash struct {
	size int64 // of a part
	in   int64 // bytes in part
	part hash.Hash
	sums []byte
}

func newPartsHash(size int64) *partsHash { return &partsHash{size: size, part: md5.New()} }

func (h *partsHash) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		piece := rest[:min(int64(len(rest)), h.size-h.in)]
		h.part.Write(piece)
		h.in += int64(len(piece))
		rest = rest[len(piece):]
		if h.in == h.size {
			h.next()
		}
	}
	return len(p), nil
}

func (h *partsHash) next() {
	h.sums = h.part.Sum(h.sums)
	h.part.Reset()
	h.in = 0
}

// etag ends the last part.
func (h *partsHash) etag() string {
	if h.in > 0 {
		h.next()
	}
	return fmt.Sprintf("%x-%d", md5.Sum(h.sums), len(h.sums)/md5.Size)
}
