package s3

import (
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/remote"
)

// Sizes of uploads in parts, in bytes.
const (
	// partsAbove is the size above which a file goes up in parts: a smaller one is quickly sent again.
	partsAbove = 100 << 20
	// minPart is the size of a part unless there would be more than maxParts. It is the most that a worker has to send
	// again after a crash, and large enough that the requests themselves do not count.
	minPart = 16 << 20
	// digestUpTo is the size up to which the MD5 of a file is computed ahead, to be sent with the first request.
	digestUpTo = 1 << 30

	maxParts    = 10_000 // of S3
	partsAtOnce = 4      // of one upload
)

// sizes are those of one store; 0 stands for the constant of that name.
type sizes struct{ partsAbove, minPart, digestUpTo int64 }

func (s sizes) withDefaults() sizes {
	return sizes{cmp.Or(s.partsAbove, partsAbove), cmp.Or(s.minPart, minPart), cmp.Or(s.digestUpTo, digestUpTo)}
}

// partSize is minPart, or as many whole MiB as it takes for maxParts to hold size bytes, at most maxObject.
func partSize(size, minPart int64) int64 {
	const mib = 1 << 20
	if size <= minPart*maxParts {
		return minPart
	}
	return (size + maxParts*mib - 1) / (maxParts * mib) * mib
}

// md5Metadata is the user metadata in which rclone keeps, and looks for, the MD5 of an object whose ETag is none: in
// base64. It is spelled as HTTP spells names.
const md5Metadata = "Md5chksum"

// uploadState is what the ledger keeps of an upload in parts. The server itself says which parts it has.
type uploadState struct {
	ID       string `json:"id"`
	PartSize int64  `json:"part_size"`
	MD5      string `json:"md5,omitempty"`    // of the file, in hexadecimal; "" if that is larger than digestUpTo
	CRC      string `json:"crc,omitempty"`    // CRC64NVME of the file, with MD5
	Opaque   bool   `json:"opaque,omitempty"` // the server's ETags are not MD5s
}

// upload puts one object in parts.
//
// The upload id is in the ledger before the first part is sent. The next attempt with that ledger, after a crash too,
// compares the parts that the server lists with the file and sends the others. Nothing is visible under the key until
// Complete.
type upload struct {
	store *Store
	key   string
	src   remote.Source
	opts  remote.PutOptions
	parts []part // the one that is sent belongs to its worker

	mu    sync.Mutex // guards state while parts are sent
	state uploadState
}

// part is a part of the file. Parts are numbered from 1.
type part struct {
	remote.Source // the file
	number        int
	offset, size  int64
	md5           string // in hexadecimal; "" until it was read
	crc           string // CRC64NVME in base64, with md5
	etag          string // "" until the server has it
}

// Size implements remote.Source.
func (p *part) Size() int64 { return p.size }

// ReadAt implements remote.Source.
func (p *part) ReadAt(b []byte, offset int64) (int, error) {
	return io.NewSectionReader(p.Source, p.offset, p.size).ReadAt(b, offset)
}

// putInParts is Put for a large object.
func (s *Store) putInParts(ctx context.Context, key string, src remote.Source, opts remote.PutOptions,
) (remote.Object, error) {
	u := &upload{store: s, key: key, src: src, opts: opts}
	etag, err := u.run(ctx)
	if err != nil {
		u.leave(ctx, err)
		return remote.Object{}, err
	}
	return remote.Object{
		Key: key, Size: src.Size(), ETag: etag, MD5: u.state.MD5, ContentType: opts.ContentType,
	}, nil
}

// run returns the ETag under which the object is stored.
func (u *upload) run(ctx context.Context) (etag string, err error) {
	listed, etag, err := u.resume(ctx)
	if err != nil || etag != "" {
		return etag, err
	}
	if u.state.ID == "" {
		if err := u.begin(ctx); err != nil {
			return "", err
		}
	}
	if err := u.send(ctx, listed); err != nil {
		return "", fmt.Errorf("put %s: %w", u.key, err)
	}
	if err := u.src.Check(); err != nil {
		return "", fmt.Errorf("put %s: after reading the file: %w", u.key, err)
	}
	return u.complete(ctx)
}

// resume loads what the ledger has and returns the parts that the server has of it, by number. An ETag means that the
// object turned out to be stored. Without either, and without an id in the state, a new upload has to begin.
func (u *upload) resume(ctx context.Context) (listed map[int]minio.ObjectPart, etag string, err error) {
	if u.opts.Ledger == nil {
		return nil, "", nil
	}
	saved := u.opts.Ledger.State()
	if len(saved) == 0 {
		return nil, "", nil
	}
	if err := u.load(saved); err != nil {
		u.store.log.Warn("an upload cannot be resumed and starts over", "key", u.key, "error", err)
		return nil, "", u.store.Abort(ctx, u.key, saved)
	}
	listed, err = u.list(ctx)
	answer, _ := errors.AsType[minio.ErrorResponse](err)
	switch {
	case err == nil:
		return listed, "", nil
	case ctx.Err() != nil:
	case answer.Code == minio.NoSuchUpload: // or the server has completed it
		etag, err = u.find(ctx)
		if err == nil && etag == "" {
			u.state = uploadState{}
		}
		return nil, etag, err
	case answer.Code == minio.AccessDenied, answer.StatusCode == http.StatusNotImplemented: // it lists no parts
		_ = u.store.abort(ctx, u.key, u.state.ID)
		u.state = uploadState{}
		return nil, "", nil
	}
	return nil, "", u.store.fail(ctx, "list the parts of "+u.key, err)
}

// load reads a saved state. One that is damaged or from another build is an error and leaves none.
func (u *upload) load(saved []byte) error {
	var state uploadState
	if err := json.Unmarshal(saved, &state); err != nil {
		return err
	}
	if state.ID == "" || state.PartSize < 1 || (u.src.Size()-1)/state.PartSize >= maxParts {
		return fmt.Errorf("the id %q with parts of %d bytes does not fit a file of %d", state.ID, state.PartSize, u.src.Size())
	}
	u.state = state
	u.cut()
	return nil
}

// cut divides the file into parts.
func (u *upload) cut() {
	size := u.src.Size()
	u.parts = make([]part, 0, (size-1)/u.state.PartSize+1)
	for offset := int64(0); offset < size; offset += u.state.PartSize {
		u.parts = append(u.parts, part{
			Source: u.src, number: len(u.parts) + 1, offset: offset, size: min(u.state.PartSize, size-offset),
		})
	}
}

// list requests the parts that the server has, page by page.
func (u *upload) list(ctx context.Context) (map[int]minio.ObjectPart, error) {
	parts := map[int]minio.ObjectPart{}
	for after := 0; ; {
		page, err := u.store.core.ListObjectParts(ctx, u.store.info.Bucket, u.key, u.state.ID, after, 1000)
		if err != nil {
			return nil, err
		}
		if page.UploadID != u.state.ID {
			return nil, &foreignError{status: "200 OK, without the upload id"}
		}
		for _, p := range page.ObjectParts {
			p.ETag = strings.Trim(p.ETag, `"`)
			parts[p.PartNumber] = p
		}
		if !page.IsTruncated {
			return parts, nil
		}
		if page.NextPartNumberMarker <= after {
			return nil, fmt.Errorf("part %d follows part %d", page.NextPartNumberMarker, after)
		}
		after = page.NextPartNumberMarker
	}
}

// begin gets an upload id and saves it before a part is sent. If it cannot be saved the upload is aborted: nothing would
// ever name it.
func (u *upload) begin(ctx context.Context) error {
	state := uploadState{PartSize: partSize(u.src.Size(), u.store.sizes.minPart)}
	create := minio.PutObjectOptions{ContentType: u.opts.ContentType, UserMetadata: headerValues(u.opts.Metadata)}
	if u.src.Size() <= u.store.sizes.digestUpTo {
		var err error
		if state.MD5, state.CRC, err = digest(ctx, u.src); err != nil {
			return fmt.Errorf("put %s: computing its MD5: %w", u.key, err)
		}
		create.UserMetadata[md5Metadata] = base64OfHex(state.MD5)
	}
	doing := "begin the upload of " + u.key
	id, err := u.store.core.NewMultipartUpload(ctx, u.store.info.Bucket, u.key, create)
	if err != nil {
		return u.store.fail(ctx, doing, err)
	}
	if id == "" {
		return u.store.fail(ctx, doing, &foreignError{status: "200 OK, without an upload id"})
	}
	state.ID = id
	u.state = state
	u.cut()
	if err := u.save(); err != nil {
		return errors.Join(err, u.store.abort(ctx, u.key, id))
	}
	return nil
}

func (u *upload) save() error {
	if u.opts.Ledger == nil {
		return nil
	}
	text, err := json.Marshal(u.state)
	if err != nil {
		return err
	}
	if err := u.opts.Ledger.Save(text); err != nil {
		return fmt.Errorf("saving the upload id of %s: %w", u.key, err)
	}
	return nil
}

// digest reads all of src, and returns its MD5 in hexadecimal and its CRC64NVME in base64.
func digest(ctx context.Context, src remote.Source, also ...io.Writer) (sum, crc string, err error) {
	crc64 := minio.ChecksumCRC64NVME.Hasher()
	body := remote.NewBody(src, append(also, crc64)...)
	defer body.Close()
	buf := make([]byte, 128<<10)
	for !body.Complete() {
		if err := ctx.Err(); err != nil {
			return "", "", err
		}
		if _, err := body.Read(buf); err != nil {
			return "", "", err
		}
	}
	return body.Sum(), base64OfHex(hex.EncodeToString(crc64.Sum(nil))), nil
}

// leave cleans up after an attempt that ended with cause. An upload that a ledger names stays, to be resumed, unless the
// file has changed; one that no ledger names would stay for ever. The ledger still names an upload that was aborted here:
// a part that was on its way may survive that, and the ledger's owner calls Abort.
func (u *upload) leave(ctx context.Context, cause error) {
	_, foreign := errors.AsType[*foreignError](cause) // not the server that has it
	switch {
	case u.state.ID == "" || foreign:
	case u.opts.Ledger == nil:
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_ = u.store.abort(ctx, u.key, u.state.ID)
	case errors.Is(cause, codestory.ErrChanged):
		_ = u.store.abort(ctx, u.key, u.state.ID)
	}
}

// Abort implements remote.Aborter by at most one request, which names the upload.
func (s *Store) Abort(ctx context.Context, key string, state []byte) error {
	var saved struct { // of any build
		ID string `json:"id"`
	}
	if json.Unmarshal(state, &saved) != nil || saved.ID == "" {
		return nil
	}
	return s.abort(ctx, key, saved.ID)
}

// abort ends the upload with that id, which is not "": some servers would delete the object then.
func (s *Store) abort(ctx context.Context, key, id string) error {
	err := s.core.AbortMultipartUpload(ctx, s.info.Bucket, key, id)
	answer, refused := errors.AsType[minio.ErrorResponse](err)
	if err == nil || refused && answer.StatusCode == http.StatusNotFound && answer.Code == minio.NoSuchUpload {
		return nil
	}
	return s.fail(ctx, "abort an upload of "+key, err)
}
