package api

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/codestory/codestoryd"
)

// A form lets whoever holds it post one file, as browsers do, without a token. Most stores make and enforce their own;
// for the others the daemon does. The fields are named, and the file comes last, as with S3's POST Object: a client need
// not know which of them it is posting to.

const (
	formRoute = "/upload/"
	formType  = "audio/mpeg"

	maxFormFields = 64 << 10        // bytes before the file, and again after it
	formGrace     = 5 * time.Minute // for a post that began before its form expired
)

var (
	errFormInvalid = newProblem(http.StatusForbidden, "form_invalid", "this form is not one of this daemon's, or a field of it was changed")
	errFormExpired = newProblem(http.StatusForbidden, "form_expired", "this form has expired: ask for a new one")
	errFormUsed    = newProblem(http.StatusForbidden, "form_used", "this form has brought its file: ask for a new one for another")
	errFormBusy    = newProblem(http.StatusConflict, "form_busy", "another file is being posted to this path: try again when that has ended")
	errFormSlow    = newProblem(http.StatusRequestTimeout, "form_slow",
		fmt.Sprintf("the form came too slowly: its fields have %s, its file needs %d KiB/s on average and pauses of less than %s",
			formProof, formRate>>10, formStall))
	errFormBody = badRequest("invalid_body",
		"post the form's fields, 64 KiB at most, and then one file, in a field called file, as multipart/form-data")
	errFormEmpty = badRequest("file_empty", "the file has no bytes")
	errFormLarge = newProblem(http.StatusRequestEntityTooLarge, "file_too_large",
		fmt.Sprintf("the file has more than %d bytes", codestory.MaxFormBytes))
)

// uploadURL answers POST /api/storage/stories/{id}/audio/upload-url.
func (s *server) uploadURL(w http.ResponseWriter, r *request) error {
	q, err := parseQuery(r.Request)
	if err != nil {
		return err
	}
	seconds, err := intParam(q, "expires_in", defaultExpires, 1, maxExpires)
	if err != nil {
		return err
	}
	path := r.audioPath()
	if q.Has("filename") {
		if path, err = audioNamed(r.story, q.Get("filename")); err != nil {
			return err
		}
	}
	lifetime := time.Duration(seconds) * time.Second
	form := codestory.UploadForm{MaxBytes: codestory.MaxFormBytes}
	var end time.Time
	form.URL, form.Fields, end, err = s.editor.SignForm(r.Context(), path, lifetime)
	if errors.Is(err, codestory.ErrNoForms) {
		end = time.Now().Add(lifetime)
		form.URL, form.Fields = s.localForm(path, end)
	} else if err != nil {
		return err
	}
	form.ExpiresIn = secondsLeft(end, lifetime)
	return writeJSON(w, http.StatusOK, form)
}

// audioNamed is the path of a story's audio file of that name.
func audioNamed(id codestory.StoryID, name string) (codestory.Path, error) {
	path, err := codestory.ParsePath(string(id) + "/audio/" + name)
	if err != nil || strings.ContainsAny(name, "/\\") || path.ContentType() != formType {
		return "", badRequest("invalid_parameter", "filename has to be a plain file name that ends in .mp3")
	}
	return path, nil
}

// localForm is a form that the daemon enforces. The path and the time at which it expires make it known.
func (s *server) localForm(path codestory.Path, end time.Time) (action string, fields map[string]string) {
	expires := end.UnixNano()
	return s.absoluteURL(formRoute+string(path), nil), map[string]string{
		"key":          path.Key(),
		"Content-Type": formType,
		"exp":          strconv.FormatInt(expires, 10),
		"sig":          formSignature(s.access.LinkKey(), path, expires),
	}
}

// formSignature is HMAC-SHA256 over a text that no link and no other form has.
func formSignature(key []byte, path codestory.Path, expires int64) string {
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "codestoryd form v1\npost\n%d\n%s\n%s", expires, formType, path)
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// receiveForm answers POST /upload/{story_id}/{path}. Until the fields are proved nothing is looked up, and 64 KiB are
// read at most.
func (s *server) receiveForm(w http.ResponseWriter, r *request) error {
	path := r.file
	if r.ContentLength > codestory.MaxFormBytes+2*maxFormFields {
		return errFormLarge
	}
	body := &formBody{ReadCloser: r.Body, control: http.NewResponseController(w), left: maxFormFields}
	r.Body = body
	file, expires, err := s.provedForm(r.Request, path, body)
	if body.problem != nil {
		return body.problem
	}
	if err != nil {
		return err
	}
	body.prove(expires.Add(formGrace))
	_ = http.NewResponseController(w).SetWriteDeadline(time.Time{}) // the file may take hours
	if err := s.editor.Receive(r.Context(), path, expires, file); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// provedForm reads the fields up to the file, and returns that with the time at which the form expires once they are
// proved. It passes over fields that mean nothing here.
func (s *server) provedForm(r *http.Request, path codestory.Path, body *formBody) (*formFile, time.Time, error) {
	parts, err := r.MultipartReader()
	if err != nil {
		return nil, time.Time{}, errFormBody
	}
	s.unproved.add(body)
	defer s.unproved.remove(body)
	fields := url.Values{}
	for {
		part, err := parts.NextRawPart()
		if err != nil {
			return nil, time.Time{}, errFormBody
		}
		if part.FormName() == "file" {
			expires, err := checkForm(fields, s.access.LinkKey(), path, time.Now())
			return &formFile{file: part, parts: parts, body: body}, expires, err
		}
		value, err := io.ReadAll(part)
		if err != nil {
			return nil, time.Time{}, errFormBody
		}
		fields.Add(part.FormName(), string(value))
	}
}

// checkForm returns when the form expires.
func checkForm(fields url.Values, key []byte, path codestory.Path, now time.Time) (time.Time, error) {
	for _, name := range []string{"key", "Content-Type", "exp", "sig"} {
		if len(fields[name]) != 1 {
			return time.Time{}, errFormInvalid
		}
	}
	nanoseconds, err := strconv.ParseInt(fields.Get("exp"), 10, 64)
	if err != nil || strconv.FormatInt(nanoseconds, 10) != fields.Get("exp") ||
		fields.Get("key") != path.Key() || fields.Get("Content-Type") != formType ||
		!hmac.Equal([]byte(fields.Get("sig")), []byte(formSignature(key, path, nanoseconds))) {
		return time.Time{}, errFormInvalid
	}
	expires := time.Unix(0, nanoseconds)
	if !now.Before(expires) {
		return time.Time{}, errFormExpired
	}
	return expires, nil
}

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
