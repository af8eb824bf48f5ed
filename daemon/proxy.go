package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/remote"
)

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
	if err := r.askSurely(nil); err != nil {
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

// askSurely asks the store for what is left of the range, as often as it may be asked; err is what went wrong before.
func (r *objectRange) askSurely(err error) error {
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
		if err := r.askSurely(err); err != nil {
			return 0, err
		}
	}
	return 0, io.EOF
}
