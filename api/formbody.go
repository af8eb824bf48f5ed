package api

import (
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/codestory/codestoryd"
)

const (
	maxUnproved = 64               // forms at once whose fields are being read
	formProof   = 5 * time.Second  // for the fields
	formStall   = 30 * time.Second // without a byte of the file
	formRate    = 8 << 10          // bytes of the file each second, on average; formStall is on the house
)

// formBody is the body of a post, bounded in bytes and in time: little of either before its form is proved.
type formBody struct {
	io.ReadCloser
	control *http.ResponseController
	left    int64     // bytes that may still be read
	began   time.Time // when the form was proved; zero before
	read    int64     // bytes since then
	end     time.Time // when all has to be read
	evicted atomic.Bool
	problem *Problem // why no more is read; nil while nothing is wrong, or if the body itself ended
}

// prove lifts the bounds to those of a whole file, which has to be here by end.
func (b *formBody) prove(end time.Time) {
	b.began, b.end, b.left = time.Now(), end, codestory.MaxFormBytes+maxFormFields
}

func (b *formBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		b.problem = errFormBody
	} else if !b.began.IsZero() {
		b.extend()
	}
	if b.problem != nil {
		return 0, b.problem
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	b.read += int64(n)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		b.problem = errFormSlow
		if b.evicted.Load() {
			b.problem = errBusy
		}
	}
	return n, err
}

// extend gives the client time for another byte, if it is fast enough.
func (b *formBody) extend() {
	now := time.Now()
	deadline := b.began.Add(formStall + time.Duration(b.read)*time.Second/formRate)
	for _, other := range []time.Time{now.Add(formStall), b.end} {
		if other.Before(deadline) {
			deadline = other
		}
	}
	if now.After(deadline) {
		b.problem = errFormSlow
	}
	// A writer without deadlines, as in tests, has no slow client either.
	_ = b.control.SetReadDeadline(deadline)
}

// formFile is the file of a proved form. Reading it fails unless it has 1 to codestory.MaxFormBytes bytes and is the
// only one.
type formFile struct {
	file  *multipart.Part
	parts *multipart.Reader
	body  *formBody
	n     int64
	err   error // what reading ended with
}

func (f *formFile) Read(p []byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	n, err := f.file.Read(p)
	f.n += int64(n)
	switch {
	case f.n > codestory.MaxFormBytes:
		f.err = errFormLarge
	case err == io.EOF && f.n == 0:
		f.err = errFormEmpty
	case err == io.EOF:
		f.err = f.finish()
	case err != nil:
		f.err = f.broken()
	}
	return n, f.err
}

// finish reads what follows the file: at most a few fields, as that of a page's button. It returns io.EOF if no other
// file is among them.
func (f *formFile) finish() error {
	f.body.left = maxFormFields
	for {
		part, err := f.parts.NextRawPart()
		switch {
		case err == io.EOF:
			return io.EOF
		case err != nil:
			return f.broken()
		case part.FormName() == "file" || part.FileName() != "":
			return errFormBody
		}
	}
}

func (f *formFile) broken() error {
	if f.body.problem != nil {
		return f.body.problem
	}
	return errFormBody
}

// unproved are the posts whose fields are being read. Anybody may send some, so there are few, and one too many ends the
// oldest: a form that is sent at once is proved within milliseconds, and those that are held back keep nobody out.
type unproved struct {
	mu    sync.Mutex // guards posts, and their deadlines
	posts []*formBody
}

func (u *unproved) add(b *formBody) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.posts) == maxUnproved {
		oldest := u.posts[0]
		u.posts = slices.Delete(u.posts, 0, 1)
		oldest.evicted.Store(true)
		_ = oldest.control.SetReadDeadline(time.Unix(1, 0))
	}
	u.posts = append(u.posts, b)
	_ = b.control.SetReadDeadline(time.Now().Add(formProof))
}

func (u *unproved) remove(b *formBody) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.posts = slices.DeleteFunc(u.posts, func(other *formBody) bool { return other == b })
}
