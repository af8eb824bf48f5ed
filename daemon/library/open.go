package library

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/daemon/watch"
	"github.com/codestory/codestoryd/remote"
)

// Open opens the bytes: of the file on this machine, else of the object in the store. The caller closes.
func (l *Library) Open(ctx context.Context, path codestory.Path) (*codestory.Content, error) {
	content, err := l.OpenHere(ctx, path)
	if !errors.Is(err, codestory.ErrNotFound) {
		return content, err
	}
	loc, err := l.locate(ctx, path, false) // what is learnt from the object itself is enough
	if err != nil {
		return nil, err
	}
	if !loc.Stored {
		return nil, fmt.Errorf("%s: %w", path, codestory.ErrNotFound)
	}
	content, err = l.storedContent(ctx, path)
	if err != nil {
		return nil, l.unanswered(ctx, err)
	}
	return content, nil
}

// OpenHere opens the bytes of the file on this machine; codestory.ErrNotFound where it is not here.
func (l *Library) OpenHere(ctx context.Context, path codestory.Path) (*codestory.Content, error) {
	f, err := l.tree.OpenStable(ctx, path)
	switch {
	case err == nil:
		return l.localContent(f), nil
	case errors.Is(err, watch.ErrDirMissing):
		return nil, fmt.Errorf("%w: %w", codestory.ErrNotFound, err)
	case errors.Is(err, codestory.ErrNotFound), errors.Is(err, codestory.ErrChanged), ctx.Err() != nil:
		return nil, err
	default:
		return nil, fmt.Errorf("%w: %w", codestory.ErrUnavailable, err)
	}
}

// localContent is the file on this machine. Its ETag is of the version, so that it stays when the upload ends.
func (l *Library) localContent(f *watch.File) *codestory.Content {
	version := f.Version()
	return &codestory.Content{Body: fileBody{f}, Size: version.Size, Modified: version.Modified(), ETag: versionTag(version)}
}

// storedContent is the object in the store. If it was stored from a version of the local file it has that version's ETag, so that a
// player can resume with the one what it began with the other; else the store's own.
func (l *Library) storedContent(ctx context.Context, path codestory.Path) (*codestory.Content, error) {
	content, err := objectContent(ctx, indexingStore{l.store, l, path}, path)
	if err != nil {
		return nil, err
	}
	known, err := l.queue.File(path)
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

// objectContent is an object in the store, for a player that gets it through the daemon. ctx is that of the player's
// request: with it the store's answer ends.
func objectContent(ctx context.Context, store remote.Store, path codestory.Path) (*codestory.Content, error) {
	object, err := store.Stat(ctx, path.Key())
	if refused(ctx, err) {
		object, err = store.Stat(ctx, path.Key())
	}
	if err != nil {
		return nil, err
	}
	return &codestory.Content{
		Body: &objectBody{ctx: ctx, store: store, object: object},
		Size: object.Size, Modified: object.Modified, ETag: object.ETag,
	}, nil
}

// refused reports whether a request to the store is worth another try at once, before a player hears of it: it is
// signed anew, for this moment and with what the credentials are by now.
func refused(ctx context.Context, err error) bool {
	return err != nil && ctx.Err() == nil && !errors.Is(err, codestory.ErrNotFound)
}

// objectBody is the bytes of an object. At most one of the store's answers is open at a time.
type objectBody struct {
	ctx    context.Context
	store  remote.Store
	object remote.Object
	answer io.ReadCloser // nil where none is open
}

func (b *objectBody) Range(offset, length int64) (io.Reader, error) {
	r := &objectRange{body: b, offset: offset, end: offset + length}
	if err := r.retryAsk(nil); err != nil {
		return nil, err
	}
	return r, nil
}

func (b *objectBody) Close() error {
	if b.answer == nil {
		return nil
	}
	answer := b.answer
	b.answer = nil
	return answer.Close()
}

// maxAsks is how often the store is asked at most without a byte coming.
const maxAsks = 2

// objectRange reads a range of the object. Where the store refuses, or its answer breaks off, it asks once more for the
// rest, and so each time after bytes came: a player that pauses for an hour finds the connection closed.
type objectRange struct {
	body        *objectBody
	offset, end int64
	asks        int // since bytes came
}

// retryAsk asks the store for what is left of the range, as often as it may be asked; err is what went wrong before.
func (r *objectRange) retryAsk(err error) error {
	for r.body.ctx.Err() == nil && r.asks < maxAsks {
		if err = r.ask(); err == nil || errors.Is(err, codestory.ErrChanged) {
			return err
		}
	}
	return fmt.Errorf("%w: %w", codestory.ErrUnavailable, cmp.Or(err, r.body.ctx.Err()))
}

// ask asks the store for what is left of the range, of the same version.
func (r *objectRange) ask() error {
	b := r.body
	_ = b.Close()
	r.asks++
	answer, object, err := b.store.Open(b.ctx, b.object.Key, r.offset, r.end-r.offset)
	if errors.Is(err, codestory.ErrNotFound) {
		return fmt.Errorf("%w: %w", codestory.ErrChanged, err)
	}
	if err != nil {
		return err
	}
	if object.ETag != b.object.ETag || object.Size != b.object.Size {
		_ = answer.Close()
		return fmt.Errorf("%w: the store has another version of %s", codestory.ErrChanged, object.Key)
	}
	b.answer = answer
	return nil
}

func (r *objectRange) Read(p []byte) (int, error) {
	for r.offset < r.end {
		n, err := r.body.answer.Read(p[:min(int64(len(p)), r.end-r.offset)])
		if n > 0 {
			r.offset += int64(n)
			r.asks = 0
		}
		if n > 0 || err == nil {
			return n, nil // what is wrong, if it is, shows again
		}
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err := r.retryAsk(err); err != nil {
			return 0, err
		}
	}
	return 0, io.EOF
}
