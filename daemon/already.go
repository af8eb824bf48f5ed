package daemon

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"io"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/daemon/watch"
	"github.com/codestory/codestoryd/queue"
	"github.com/codestory/codestoryd/remote"
)

// already finds out whether the store has the file's bytes, where there is reason to think so: it had some of that size
// for this path, or had them by another name of the endpoint, or the index that would tell was lost. Nothing is sent
// then. The file is read for it; the store is asked only where the index has no MD5, or may not know the last that the
// store took.
//
// ok says that the object has them. The error is errUnchanged where that is known without the store.
func (d *Daemon) already(ctx context.Context, f *watch.File, claim *queue.Claim) (object remote.Object, ok bool, err error) {
	stored := claim.Stored
	switch {
	case claim.MayExist:
		return d.recognized(ctx, f, claim.Path)
	case stored == nil || stored.Size != f.Size():
		return remote.Object{}, false, nil
	}
	digest := md5.New()
	if err := readAll(ctx, digest, f); err != nil {
		return remote.Object{}, false, err
	}
	if hex.EncodeToString(digest.Sum(nil)) != stored.MD5 {
		return remote.Object{}, false, nil
	}
	return remote.Object{}, false, errUnchanged
}

// recognized holds the file against what the store says of the object now. Where it does not say, or says nothing that
// proves the bytes, they are put: that cannot be wrong.
func (d *Daemon) recognized(ctx context.Context, f *watch.File, path codestory.Path) (object remote.Object, ok bool, err error) {
	object, err = d.remote.Stat(ctx, path.Key())
	typed := object.ContentType == "" || object.ContentType == path.ContentType()
	if err != nil || object.Size != f.Size() || !typed {
		return remote.Object{}, false, ctx.Err()
	}
	proof, err := remote.ProofOf(ctx, d.remote, object)
	if err != nil || proof == nil {
		return remote.Object{}, false, ctx.Err()
	}
	if err := readAll(ctx, proof, f); err != nil {
		return remote.Object{}, false, err
	}
	return object, proof.Verify() == nil, nil
}

// readAll reads the whole version into w, whose errors do not count.
func readAll(ctx context.Context, w io.Writer, f *watch.File) error {
	if _, err := io.Copy(w, cancellable{ctx, io.NewSectionReader(f, 0, f.Size())}); err != nil {
		return &readError{err}
	}
	return f.Check()
}

// errUnchanged: the file was touched, and its bytes are those that the store has.
var errUnchanged = errors.New("the store has these bytes already")

// cancellable is a reader that ends with its context.
type cancellable struct {
	ctx context.Context
	r   io.Reader
}

func (c cancellable) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
