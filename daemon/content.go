package daemon

import (
	"context"
	"fmt"
	"hash/fnv"
	"io"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/daemon/watch"
)

// localContent is the file on this machine. Where that is the version that the store has, it has the store's ETag, so
// that a player can go on with the one what it began with the other.
func (d *Daemon) localContent(path codestory.Path, f *watch.File) *codestory.Content {
	c := &codestory.Content{Body: fileBody{f}, Size: f.Size(), Modified: f.Version().Modified(), ETag: versionTag(f.Version())}
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
	if err := r.file.Intact(); err != nil {
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

const (
	// clockTick is longer than the steps in which file systems count time: two writes within one cannot be told apart.
	clockTick = 12 * time.Millisecond
	// maxTicks bounds how long a player waits for a file that is being written.
	maxTicks = 20
)

// openQuiet opens the file once its last write is so long ago that the next one will show. A file that is written to
// all the while cannot be played: codestory.ErrChanged.
func (d *Daemon) openQuiet(ctx context.Context, path codestory.Path) (*watch.File, error) {
	for range maxTicks {
		f, err := d.tree.Open(path)
		if err != nil {
			return nil, err
		}
		age := time.Since(f.Version().Written())
		if age > clockTick || age < -time.Second { // another machine's clock, which tells nothing
			return f, nil
		}
		_ = f.Close()
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(clockTick - max(age, 0)):
		}
	}
	return nil, fmt.Errorf("%s: %w", path, codestory.ErrChanged)
}
