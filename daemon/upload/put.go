package upload

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/daemon/watch"
	"github.com/codestory/codestoryd/queue"
	"github.com/codestory/codestoryd/remote"
)

var (
	// errGone: the file is not there any more, or not to be uploaded any more.
	errGone = errors.New("the file is gone")
	// errSuperseded: there is a newer version, or nobody wants this one any more.
	errSuperseded = errors.New("this version is not to be uploaded any more")
)

// put puts the claimed version into the store.
func (p *Pipeline) put(ctx context.Context, claim *queue.Claim) (remote.Object, error) {
	if current, err := claim.Current(); err != nil {
		return remote.Object{}, &readError{err}
	} else if !current {
		return remote.Object{}, errSuperseded
	}
	f, err := p.open(ctx, claim)
	if err != nil {
		return remote.Object{}, err
	}
	defer func() { _ = f.Close() }()
	if object, ok, err := p.already(ctx, f, claim); ok || err != nil {
		return object, err
	}
	if object, err := p.copied(ctx, claim, f); !errors.Is(err, errNoCopy) {
		return object, err
	}
	progress, done := p.begin(claim)
	defer done()
	return p.store.Put(ctx, claim.Path.Key(), source{f}, remote.PutOptions{
		ContentType: claim.Path.ContentType(),
		Ledger:      claim,
		Progress:    progress,
		Silent:      p.noteSilence(claim),
	})
}

// open opens the claimed version of the file.
func (p *Pipeline) open(ctx context.Context, claim *queue.Claim) (*watch.File, error) {
	if p.rules.Exclude != nil {
		if _, excluded := p.rules.Exclude(string(claim.Path), false); excluded { // since it was enqueued
			return nil, errGone
		}
	}
	f, err := p.tree.OpenVersion(ctx, claim.Path, claim.Version)
	switch {
	case errors.Is(err, watch.ErrDirMissing), errors.Is(err, codestory.ErrChanged), ctx.Err() != nil && err != nil:
		return nil, err
	case errors.Is(err, codestory.ErrNotFound) && p.tree.Empty():
		return nil, fmt.Errorf("%w: it is empty", watch.ErrDirMissing)
	case errors.Is(err, codestory.ErrNotFound):
		return nil, errGone
	case errors.Is(err, fs.ErrPermission):
		return nil, &readError{codestory.Block("the file cannot be read: give the user that the daemon runs as the right to", err)}
	case err != nil:
		return nil, &readError{err}
	}
	if bad, ok := pathFault(claim.Path); ok {
		_ = f.Close()
		return nil, &readError{codestory.Block(bad.Reason, bad)}
	}
	return f, nil
}

// pathFault is what is wrong with the name of a file that was blocked for it, and that a person has tried again.
func pathFault(path codestory.Path) (*codestory.PathError, bool) {
	_, err := codestory.ParsePath(string(path))
	return errors.AsType[*codestory.PathError](err)
}

// readError is an error of this machine's disk: it says nothing of the store.
type readError struct{ err error }

func (e *readError) Error() string { return e.err.Error() }
func (e *readError) Unwrap() error { return e.err }

// source tells errors of reading the file from those of the store.
type source struct{ *watch.File }

func (s source) ReadAt(p []byte, off int64) (int, error) {
	n, err := s.File.ReadAt(p, off)
	if err != nil && err != io.EOF {
		err = &readError{err}
	}
	return n, err
}

// noteSilence notes an upload that is not answered while it is waited for, so that being killed meanwhile forgets it no
// more than giving it up does.
func (p *Pipeline) noteSilence(claim *queue.Claim) func(etag string) {
	return func(etag string) {
		if err := claim.Unanswered(etag); err != nil {
			p.log.Warn("an upload without an answer could not be noted", "path", claim.Path, "error", err)
		}
	}
}

// already finds out whether the store has the file's bytes, where there is reason to think so: it had some of that size
// for this path, or had them by another name of the endpoint, or the index that would tell was lost. Nothing is sent
// then. The file is read for it; the store is asked only where the index has no MD5, or may not know the last that the
// store took.
//
// ok says that the object has them. The error is errUnchanged where that is known without the store.
func (p *Pipeline) already(ctx context.Context, f *watch.File, claim *queue.Claim) (object remote.Object, ok bool, err error) {
	stored := claim.Stored
	switch {
	case claim.MayExist:
		return p.recognized(ctx, f, claim.Path)
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
func (p *Pipeline) recognized(ctx context.Context, f *watch.File, path codestory.Path) (object remote.Object, ok bool, err error) {
	object, err = p.store.Stat(ctx, path.Key())
	typed := object.ContentType == "" || object.ContentType == path.ContentType()
	if err != nil || object.Size != f.Size() || !typed {
		return remote.Object{}, false, ctx.Err()
	}
	proof, err := remote.ProofOf(ctx, p.store, object)
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

// errNoCopy: the bytes have to be sent.
var errNoCopy = errors.New("the store has no copy of the file")

// maxCopies is how many objects a file is held against: more than one come of hard links and moves to and fro.
const maxCopies = 3

// copied stores the file by a copy within the store, where it is known under another name that was stored, as after its
// story's folder was renamed. A move leaves inode, size and modification time as they are; whether the bytes are too,
// their digest tells. errNoCopy means that there is nothing to copy, or that the store does not: whatever it is that is
// wrong there, to put the file will tell.
func (p *Pipeline) copied(ctx context.Context, claim *queue.Claim, f *watch.File) (remote.Object, error) {
	copier, ok := p.store.(remote.Copier)
	if !ok || claim.Stored != nil || f.Size() == 0 {
		return remote.Object{}, errNoCopy
	}
	moved, err := claim.StoredElsewhere(maxCopies)
	if err != nil {
		return remote.Object{}, &readError{err}
	}
	for _, m := range moved {
		if m.Path.ContentType() != claim.Path.ContentType() {
			continue
		}
		from := remote.Object{Key: m.Path.Key(), Size: m.Stored.Size, ETag: m.Stored.ETag, MD5: m.Stored.MD5}
		same, err := p.sameContent(ctx, f, from)
		if err != nil {
			return remote.Object{}, err
		}
		if !same {
			continue
		}
		if object, err := copier.Copy(ctx, from, claim.Path.Key()); err == nil {
			return object, nil
		} else if codestory.ClassOf(ctx, err) == codestory.ClassStopped {
			return remote.Object{}, err
		}
	}
	return remote.Object{}, errNoCopy
}

// sameContent reports whether the file has the bytes of the object. It is read for that.
func (p *Pipeline) sameContent(ctx context.Context, f *watch.File, object remote.Object) (bool, error) {
	if f.Size() != object.Size {
		return false, nil
	}
	proof, err := remote.ProofOf(ctx, p.store, object)
	if err != nil || proof == nil {
		return false, ctx.Err()
	}
	if err := readAll(ctx, proof, f); err != nil {
		return false, err
	}
	return proof.Verify() == nil, nil
}
