package s3

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/remote"
)

// md5Metadata is the user metadata in which rclone keeps, and looks for, the MD5 of an object whose ETag is none: in
// base64. It is in the form that HTTP gives to names.
const md5Metadata = "Md5chksum"

// errUploadGone: the server does not know the upload id, or not any more.
var errUploadGone = errors.New("the upload in parts is gone")

// upload puts one object in parts.
//
// What was sent is written to the ledger: the upload id before the first part, each part once the server has it. So
// whoever comes next with that ledger, after a crash too, sends only what is missing. Until Complete nothing is to be
// seen under the key.
type upload struct {
	store *Store
	key   string
	src   remote.Source
	opts  remote.PutOptions

	mu    sync.Mutex // guards state while parts are on their way
	state uploadState
}

// putInParts is Put for a large object. Its MD5 is known, and kept as metadata, up to the size of readAheadUpTo.
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
	if etag, err = u.resume(ctx); err != nil || etag != "" {
		return etag, err
	}
	if u.state.ID == "" {
		if err := u.begin(ctx); err != nil {
			return "", err
		}
	}
	if err := u.sendMissing(ctx); err != nil {
		return "", err
	}
	if err := u.src.Check(); err != nil {
		return "", fmt.Errorf("put %s: after reading the file: %w", u.key, err)
	}
	return u.complete(ctx)
}

// resume takes up what the ledger holds, as far as the server agrees with it. An ETag says that it turned out to be
// done; without one, what state holds is to be gone on with, and without an id there to be begun.
func (u *upload) resume(ctx context.Context) (etag string, err error) {
	if u.opts.Ledger == nil {
		return "", nil
	}
	saved := u.opts.Ledger.State()
	if len(saved) == 0 {
		return "", nil
	}
	state, err := decodeState(saved, u.layout())
	if err != nil {
		u.store.log.Warn("an upload cannot be gone on with and is begun anew", "key", u.key, "error", err)
		if err := u.store.Abort(ctx, u.key, saved); err != nil {
			return "", err
		}
		return "", u.reset()
	}
	u.state = state
	listed, err := u.list(ctx)
	gone := errors.Is(err, errUploadGone)
	if err != nil && !gone {
		return "", err
	}
	if len(u.state.missing()) == 0 { // Complete may have been sent
		if etag, err = u.find(ctx, gone); err != nil || etag != "" {
			return etag, err
		}
	}
	if gone {
		return "", u.reset()
	}
	u.state.keepOnly(listed)
	return "", nil
}

func (u *upload) layout() layout { return newLayout(u.src.Size(), u.store.sizes.minPart) }

// begin gets an upload id and writes it down before anything is sent for it. Should that fail, the upload is aborted:
// nobody would ever know of it.
func (u *upload) begin(ctx context.Context) error {
	state := newUploadState("", u.layout())
	create := minio.PutObjectOptions{ContentType: u.opts.ContentType, UserMetadata: headerValues(u.opts.Metadata)}
	if state.Size <= u.store.sizes.readAheadUpTo {
		sum, crcs, err := readAhead(ctx, u.src, state.layout)
		if err != nil {
			return fmt.Errorf("put %s: reading it ahead: %w", u.key, err)
		}
		state.MD5, state.CRCs = hex.EncodeToString(sum), crcs
		create.UserMetadata[md5Metadata] = base64.StdEncoding.EncodeToString(sum)
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
	if err := u.save(); err != nil {
		return errors.Join(err, u.store.abort(ctx, u.key, id))
	}
	return nil
}

// list asks the server for the parts that it has, by the page. The error wraps errUploadGone where it has no such
// upload.
func (u *upload) list(ctx context.Context) ([]minio.ObjectPart, error) {
	var parts []minio.ObjectPart
	doing := "list the parts of " + u.key
	for after := 0; ; {
		page, err := u.store.core.ListObjectParts(ctx, u.store.info.Bucket, u.key, u.state.ID, after, 1000)
		if err != nil {
			return nil, u.fail(ctx, doing, err)
		}
		if page.UploadID != u.state.ID {
			return nil, u.store.fail(ctx, doing, &foreignError{status: "200 OK, without the upload id"})
		}
		parts = append(parts, page.ObjectParts...)
		if !page.IsTruncated {
			return parts, nil
		}
		if page.NextPartNumberMarker <= after {
			return nil, fmt.Errorf("%s: after part %d comes part %d", doing, after, page.NextPartNumberMarker)
		}
		after = page.NextPartNumberMarker
	}
}

// fail is Store.fail for a request that names the upload.
func (u *upload) fail(ctx context.Context, doing string, err error) error {
	gone := codeOf(err) == minio.NoSuchUpload
	err = u.store.fail(ctx, doing, err)
	if gone && ctx.Err() == nil {
		return fmt.Errorf("%w: %w", errUploadGone, err)
	}
	return err
}

// finish writes down that the server has a part.
func (u *upload) finish(number int, part sentPart) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.state.Parts[number-1] = part
	return u.save()
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
		return fmt.Errorf("noting how far the upload of %s is: %w", u.key, err)
	}
	return nil
}

// reset forgets the upload, which is no more: the next attempt begins anew.
func (u *upload) reset() error {
	u.state = uploadState{}
	if u.opts.Ledger == nil {
		return nil
	}
	if err := u.opts.Ledger.Save(nil); err != nil {
		return fmt.Errorf("noting that the upload of %s is no more: %w", u.key, err)
	}
	return nil
}

// leave cleans up after an attempt that ended with cause. What a ledger knows is kept to be gone on with, unless the
// file has changed; an upload that no ledger knows would be there for ever. The ledger goes on naming an upload that was
// aborted here: a part that was on its way may outlive that, and whoever keeps the ledger calls Abort.
func (u *upload) leave(ctx context.Context, cause error) {
	if u.state.ID == "" {
		return
	}
	if u.opts.Ledger != nil {
		if errors.Is(cause, codestory.ErrChanged) {
			_ = u.store.abort(ctx, u.key, u.state.ID)
		}
		return
	}
	if _, foreign := errors.AsType[*foreignError](cause); foreign { // it is not the store that would be told
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_ = u.store.abort(ctx, u.key, u.state.ID)
}

// readAhead is the MD5 of the whole, and the CRC64NVME of each part, by which it is seen later that those are of the
// same bytes.
func readAhead(ctx context.Context, src remote.Source, l layout) (sum []byte, crcs []string, err error) {
	parts := &partSums{size: l.PartSize, hash: minio.ChecksumCRC64NVME.Hasher()}
	body := remote.NewBody(src, parts)
	defer body.Close()
	buf := make([]byte, 256<<10)
	for !body.Complete() {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		if _, err := body.Read(buf); err != nil {
			return nil, nil, err
		}
	}
	sum, err = hex.DecodeString(body.Sum())
	return sum, parts.sums(), err
}
