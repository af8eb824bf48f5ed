package library

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/queue"
	"github.com/codestory/codestoryd/remote"
)

// SignForm makes a form of the store for one audio file. That it was is durable before anybody gets it: what is posted
// is this daemon's own from then on. codestory.ErrNoForms means that the store takes none.
func (l *Library) SignForm(ctx context.Context, path codestory.Path, lifetime time.Duration) (url string, fields map[string]string, expires time.Time, err error) {
	if err := l.removeBefore(ctx, path); err != nil {
		return "", nil, time.Time{}, err
	}
	if err := l.queue.SignForm(path, time.Now().Add(lifetime+time.Second)); err != nil {
		return "", nil, time.Time{}, err
	}
	signer, ok := l.store.(remote.FormSigner)
	if !ok {
		return "", nil, time.Time{}, codestory.ErrNoForms
	}
	form, err := signer.Form(ctx, remote.FormRequest{
		Key: path.Key(), ContentType: path.ContentType(), MinBytes: 1, MaxBytes: codestory.MaxFormBytes, Expires: lifetime,
	})
	if err != nil {
		return "", nil, time.Time{}, l.unanswered(ctx, err)
	}
	return form.URL, form.Fields, form.Expires, nil
}

// removeBefore makes sure that the object of a deleted story has left the store before something is stored in its place.
func (l *Library) removeBefore(ctx context.Context, path codestory.Path) error {
	removed, err := l.queue.Removed(path)
	if err != nil || !removed {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, removeTimeout)
	defer cancel()
	if err := l.removeObjects(ctx, path.Story()); err != nil {
		return fmt.Errorf("%w: %w", codestory.ErrUnavailable, err)
	}
	return nil
}

// Receive stores all that r holds at the path, or nothing if reading fails: it returns that error as it is. The form that
// brings it is known by when it expires, and good for one file: after that the error is codestory.ErrFormUsed. While
// another file is received for the path it is codestory.ErrFormBusy, and nothing is read. codestory.ErrDiskFull means
// that the file would leave too little room on the disk.
func (l *Library) Receive(ctx context.Context, path codestory.Path, expires time.Time, r io.Reader) error {
	if _, busy := l.receiving.LoadOrStore(path, nil); busy {
		return fmt.Errorf("%s: %w", path, codestory.ErrFormBusy)
	}
	defer l.receiving.Delete(path)
	if used, err := l.queue.FormUsed(path, expires); err != nil {
		return err
	} else if used {
		return fmt.Errorf("%s: %w", path, codestory.ErrFormUsed)
	}
	copies := int64(1)
	if l.store.Info().Kind == "local" {
		copies = 2 // the store is on this machine too, perhaps on the same disk
	}
	src, err := spool(l.spool, r, copies)
	if err != nil {
		return err
	}
	defer func() { _ = src.Close() }()
	if !l.uploads.Reads() {
		return fmt.Errorf("%s: %w", path, codestory.ErrUnavailable)
	}
	object, err := l.store.Put(ctx, path.Key(), src, remote.PutOptions{ContentType: path.ContentType()})
	if err != nil {
		return l.unanswered(ctx, err)
	}
	return l.queue.Received(path, expires, queue.Stored{Size: object.Size, ETag: object.ETag, MD5: object.MD5})
}
