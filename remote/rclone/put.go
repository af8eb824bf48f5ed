package rclone

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"path"
	"time"

	"github.com/rclone/rclone/fs"
	"github.com/rclone/rclone/fs/hash"
	"github.com/rclone/rclone/fs/object"

	"github.com/codestory/codestoryd/remote"
)

// Put implements remote.Store. The proof is any checksum that the backend has of the object; if it has none, the object
// is read back.
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
	c, ctx, err := s.connect(ctx)
	if err != nil {
		return remote.Object{}, err
	}
	place := name
	if c.growing {
		place = path.Join(uploads, rand.Text())
	}
	file, err := s.send(ctx, c, place, body, size, opts)
	if err == nil && c.growing {
		file, err = s.moveTo(ctx, c, file, key, name)
	}
	if err != nil && c.growing {
		c.discard(ctx, place)
	}
	if err != nil {
		return remote.Object{}, c.explain(ctx, name, err)
	}
	return c.describe(ctx, key, file)
}

// moveTo moves a temporary that is whole to the name of the key.
func (s *Store) moveTo(ctx context.Context, c *connection, file fs.Object, key, name string) (fs.Object, error) {
	move := s.move(key)
	move.Lock()
	defer move.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return c.Features().Move(ctx, file, name)
}

// discard removes a temporary, if the backend has not done so itself. It takes little time, even after ctx has ended.
func (c *connection) discard(ctx context.Context, place string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if file, err := c.NewObject(ctx, place); err == nil {
		_ = file.Remove(ctx)
	}
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

// stream is a remote.Body on its way into rclone, which does not always look at the context by itself.
type stream struct {
	ctx     context.Context
	body    *remote.Body
	limiter *remote.Limiter
	digest  *hash.MultiHasher // of what was read, beside the body's own MD5; nil for none
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
