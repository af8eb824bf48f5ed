package rclone

import (
	"context"
	"crypto/md5"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"path"
	"time"

	"github.com/rclone/rclone/fs"
	"github.com/rclone/rclone/fs/hash"
	"github.com/rclone/rclone/fs/object"

	"github.com/codestory/codestoryd/remote"
)

// Put implements remote.Store. The proof is the checksum that the backend has of the object, of whatever kind it
// knows; where it knows none, the object is read back.
func (s *Store) Put(ctx context.Context, key string, src remote.Source, opts remote.PutOptions) (remote.Object, error) {
	body := remote.NewBody(src, opts.Meter())
	defer body.Close()
	object, err := s.put(ctx, key, body, src.Size(), opts)
	if err != nil {
		return remote.Object{}, fmt.Errorf("storing %s: %w", key, s.hide(failure(ctx, s.endpoint, body, err)))
	}
	object.MD5 = body.Sum()
	return object, nil
}

func (s *Store) put(ctx context.Context, key string, body *remote.Body, size int64, opts remote.PutOptions) (remote.Object, error) {
	name, err := objectName(key)
	if err != nil {
		return remote.Object{}, err
	}
	c, err := s.connect(ctx)
	if err != nil {
		return remote.Object{}, err
	}
	ctx = fs.CopyConfig(ctx, s.base)
	var file fs.Object
	if c.growing {
		file, err = s.sendHidden(ctx, c, key, name, body, size, opts)
	} else {
		file, err = s.send(ctx, c, name, body, size, opts)
	}
	if err != nil {
		return remote.Object{}, c.explain(ctx, name, err)
	}
	return c.describe(ctx, key, file)
}

// sendHidden uploads the body to a temporary, which is moved to its name once it is proved.
func (s *Store) sendHidden(ctx context.Context, c *connection, key, name string, body *remote.Body, size int64, opts remote.PutOptions) (fs.Object, error) {
	temporary := path.Join(uploads, rand.Text())
	file, err := s.send(ctx, c, temporary, body, size, opts)
	if err == nil {
		move := s.move(key)
		move.Lock()
		defer move.Unlock()
		if err = ctx.Err(); err == nil {
			file, err = c.Features().Move(ctx, file, name)
		}
	}
	if err != nil {
		c.discard(ctx, temporary)
		return nil, err
	}
	return file, nil
}

// send uploads the body to place and proves that it is there.
func (s *Store) send(ctx context.Context, c *connection, place string, body *remote.Body, size int64, opts remote.PutOptions) (fs.Object, error) {
	var kinds hash.Set
	if c.checksum != hash.MD5 { // which the body computes anyway
		kinds.Add(c.checksum)
	}
	digest, err := hash.NewMultiHasherTypes(kinds)
	if err != nil {
		return nil, err
	}
	in := &stream{ctx: ctx, body: body, limiter: s.limiter, digest: digest}
	if size == 0 { // which nobody may ever read, and the source has to be asked all the same
		if _, err := in.Read(make([]byte, 1)); err != io.EOF {
			return nil, err
		}
	}
	info := object.NewStaticObjectInfo(place, time.Now(), size, true, nil, c.Fs)
	info.WithMimeType(opts.ContentType)
	upload := ctx
	if len(opts.Metadata) > 0 && c.Features().UserMetadata {
		var config *fs.ConfigInfo
		upload, config = fs.AddConfig(ctx)
		config.Metadata = true
		info.WithMetadata(opts.Metadata)
	}
	file, err := c.Put(upload, in, info)
	if err != nil {
		return nil, err
	}
	return file, c.prove(ctx, file, body, size, digest)
}

// prove compares what the backend says of the object with what was sent. If it has no checksum, the object is read back.
func (c *connection) prove(ctx context.Context, file fs.Object, body *remote.Body, size int64, digest *hash.MultiHasher) (err error) {
	if !body.Complete() {
		return errIncomplete
	}
	if file.Size() >= 0 && file.Size() != size {
		return fmt.Errorf("%w: %d bytes instead of %d", errDiffers, file.Size(), size)
	}
	want, got := body.Sum(), ""
	if c.checksum != hash.None {
		if got, err = c.sum(ctx, file); err != nil {
			return err
		}
	}
	switch {
	case got == "":
		got, err = readBack(ctx, file)
	case c.checksum != hash.MD5:
		want, err = digest.SumString(c.checksum, false)
	}
	if err == nil && got != want {
		err = fmt.Errorf("%w: their checksum is %s instead of %s", errDiffers, got, want)
	}
	return err
}

// readBack is the MD5 of what the store gives out.
func readBack(ctx context.Context, file fs.Object) (string, error) {
	body, err := file.Open(ctx)
	if err != nil {
		return "", fmt.Errorf("reading it back: %w", err)
	}
	defer body.Close()
	digest := md5.New()
	if _, err := io.Copy(digest, body); err != nil {
		return "", fmt.Errorf("reading it back: %w", err)
	}
	return hex.EncodeToString(digest.Sum(nil)), nil
}

// discard removes a temporary, where the backend has not done so itself. It is done even where our own context has
// ended, but not for long.
func (c *connection) discard(ctx context.Context, place string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if file, err := c.NewObject(ctx, place); err == nil {
		_ = file.Remove(ctx)
	}
}

// stream is a remote.Body on its way into rclone, which does not always look at the context by itself.
type stream struct {
	ctx     context.Context
	body    *remote.Body
	limiter *remote.Limiter
	digest  *hash.MultiHasher // of what was read, of a kind other than MD5
}

// Read implements io.Reader. The last byte does not leave once ctx has ended.
func (s *stream) Read(p []byte) (int, error) {
	n, err := s.body.Read(p[:min(len(p), s.limiter.Chunk())])
	if err != nil {
		return 0, err
	}
	if err := s.limiter.Wait(s.ctx, n); err != nil {
		return 0, err
	}
	if s.digest != nil {
		s.digest.Write(p[:n]) // a hash does not fail
	}
	return n, nil
}
