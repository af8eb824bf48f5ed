package daemon

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/daemon/watch"
	"github.com/codestory/codestoryd/remote"
)

// localContent is the file on this machine. Where that is the version that the store has, it has the store's ETag, so
// that a player can go on with the one what it began with the other.
func (d *Daemon) localContent(path codestory.Path, f *watch.File) *codestory.Content {
	c := &codestory.Content{ReadSeekCloser: f, Size: f.Size(), Modified: f.Version().Modified(), ETag: versionTag(f.Version())}
	if known, err := d.queue.File(path); err == nil && known.State == codestory.Synced &&
		known.Version == f.Version() && known.Stored.ETag != "" {
		c.ETag = known.Stored.ETag
	}
	return c
}

// versionTag tells two versions apart without reading them.
func versionTag(v codestory.Version) string {
	h := fnv.New128a()
	fmt.Fprintf(h, "%+v", v)
	return fmt.Sprintf("v%x", h.Sum(nil))
}

// remoteContent is an object in the store. It is opened where it is first read, and again after a seek.
func remoteContent(ctx context.Context, store remote.Store, object remote.Object) *codestory.Content {
	return &codestory.Content{
		ReadSeekCloser: &objectReader{ctx: ctx, store: store, object: object},
		Size:           object.Size, Modified: object.Modified, ETag: object.ETag,
	}
}

type objectReader struct {
	ctx    context.Context // of the request that it serves
	store  remote.Store
	object remote.Object
	offset int64
	body   io.ReadCloser // at offset; nil where it is not open
}

var errReplaced = errors.New("the object was replaced while it was read")

func (r *objectReader) Read(p []byte) (int, error) {
	if r.offset >= r.object.Size {
		return 0, io.EOF
	}
	if r.body == nil {
		body, object, err := r.store.Open(r.ctx, r.object.Key, r.offset, -1)
		if err != nil {
			return 0, err
		}
		if object.ETag != r.object.ETag || object.Size != r.object.Size {
			_ = body.Close()
			return 0, errReplaced
		}
		r.body = body
	}
	n, err := r.body.Read(p)
	r.offset += int64(n)
	return n, err
}

func (r *objectReader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.offset
	case io.SeekEnd:
		offset += r.object.Size
	}
	if offset < 0 {
		return 0, fmt.Errorf("seeking in %s: a negative offset", r.object.Key)
	}
	if offset != r.offset {
		_ = r.Close()
		r.offset = offset
	}
	return offset, nil
}

func (r *objectReader) Close() error {
	if r.body == nil {
		return nil
	}
	body := r.body
	r.body = nil
	return body.Close()
}
