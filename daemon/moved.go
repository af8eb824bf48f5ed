package daemon

import (
	"context"
	"errors"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/daemon/watch"
	"github.com/codestory/codestoryd/queue"
	"github.com/codestory/codestoryd/remote"
)

// errNoCopy: the bytes have to be sent.
var errNoCopy = errors.New("the store has no copy of the file")

// maxCopies is how many objects a file is held against: more than one come of hard links and moves to and fro.
const maxCopies = 3

// copied stores the file by a copy within the store, where it is known under another name that was stored, as after its
// story's folder was renamed. A move leaves inode, size and modification time as they are; whether the bytes are too,
// their digest tells. errNoCopy means that there is nothing to copy, or that the store does not: whatever it is that is
// wrong there, to put the file will tell.
func (d *Daemon) copied(ctx context.Context, claim *queue.Claim, f *watch.File) (remote.Object, error) {
	copier, ok := d.remote.(remote.Copier)
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
		same, err := d.sameContent(ctx, f, from)
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
func (d *Daemon) sameContent(ctx context.Context, f *watch.File, object remote.Object) (bool, error) {
	if f.Size() != object.Size {
		return false, nil
	}
	proof, err := remote.ProofOf(ctx, d.remote, object)
	if err != nil || proof == nil {
		return false, ctx.Err()
	}
	if err := readAll(ctx, proof, f); err != nil {
		return false, err
	}
	return proof.Verify() == nil, nil
}
