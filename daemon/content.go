package daemon

import (
	"context"
	"fmt"
	"hash/fnv"
	"io"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/daemon/watch"
)

// localContent is the file on this machine. Its ETag is of the version, so that it stays when the upload ends.
func (d *Daemon) localContent(f *watch.File) *codestory.Content {
	version := f.Version()
	return &codestory.Content{Body: fileBody{f}, Size: version.Size, Modified: version.Modified(), ETag: versionTag(version)}
}

// storedContent is the object in the store. If it was stored from a version of the local file it has that version's ETag, so that a
// player can resume with the one what it began with the other; else the store's own.
func (d *Daemon) storedContent(ctx context.Context, path codestory.Path) (*codestory.Content, error) {
	content, err := objectContent(ctx, attentive{d.remote, d, path}, path)
	if err != nil {
		return nil, err
	}
	known, err := d.queue.File(path)
	if err == nil && known.State == codestory.Synced && known.Version != (codestory.Version{}) &&
		content.ETag != "" && known.Stored.ETag == content.ETag {
		content.ETag = versionTag(known.Version)
	}
	return content, nil
}

// versionTag tells two versions apart without reading them.
func versionTag(v codestory.Version) string {
	h := fnv.New128a()
	fmt.Fprintf(h, "%+v", v)
	return fmt.Sprintf("v%x", h.Sum(nil))
}

// fileBody is the bytes of an open file.
type fileBody struct{ *watch.File }

func (b fileBody) Range(offset, length int64) (io.Reader, error) {
	return &fileRange{b.File, offset, offset + length}, nil
}

type fileRange struct {
	file        *watch.File
	offset, end int64
}

// Read looks after each piece whether the file was written to: then the piece may hold bytes of both versions, and is
// not handed on.
func (r *fileRange) Read(p []byte) (int, error) {
	if r.offset >= r.end {
		return 0, io.EOF
	}
	n, err := r.file.ReadAt(p[:min(int64(len(p)), r.end-r.offset)], r.offset)
	if err := r.file.Unchanged(); err != nil {
		return 0, err
	}
	r.offset += int64(n)
	if err == io.EOF && n == 0 {
		err = io.ErrUnexpectedEOF
	} else if n > 0 {
		err = nil
	}
	return n, err
}

// WriteTo writes what is left.
func (r *fileRange) WriteTo(w io.Writer) (int64, error) {
	n, err := r.file.WriteRange(w, r.offset, r.end-r.offset)
	r.offset += n
	return n, err
}
