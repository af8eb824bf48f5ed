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
	"strconv"
	"strings"
	"time"

	"github.com/julienschmidt/httprouter"

	"github.com/codestory/codestoryd"
)

// A form lets whoever holds it post one file, as browsers do, without a token. Most stores make and enforce their own;
// for the others the daemon does. The fields are named, and the file comes last, as with S3's POST Object: a client need
// not know which of them it is posting to.

const (
	formRoute = "/upload/"
	formType  = "audio/mpeg"

	maxUnproved     = 32       // forms at once whose fields are being read: anybody may send some
	maxFormFields   = 20       // before the file
	maxFieldBytes   = 4 << 10  // of one of them
	maxFormOverhead = 64 << 10 // of all of them, with what multipart/form-data puts between
)

var (
	errFormInvalid = newProblem(http.StatusForbidden, "form_invalid", "this form is not one of this daemon's, or a field of it was changed")
	errFormExpired = newProblem(http.StatusForbidden, "form_expired", "this form has expired: ask for a new one")
	errFormBody    = badRequest("invalid_body", "post the form's fields and then the file, in a field called file, as multipart/form-data")
	errFormEmpty   = badRequest("file_empty", "the file has no bytes")
	errFormLarge   = newProblem(http.StatusRequestEntityTooLarge, "file_too_large",
		fmt.Sprintf("the file has more than %d bytes", codestory.MaxFormBytes))
)

// uploadURL answers POST /api/storage/stories/{id}/audio/upload-url.
func (s *server) uploadURL(w http.ResponseWriter, r *http.Request, p httprouter.Params) error {
	req, err := parseStoryRequest(p)
	if err != nil {
		return err
	}
	q, err := parseQuery(r)
	if err != nil {
		return err
	}
	seconds, err := intParam(q, "expires_in", defaultExpires, 1, maxExpires)
	if err != nil {
		return err
	}
	path := req.audioPath()
	if q.Has("filename") {
		if path, err = audioNamed(req.id, q.Get("filename")); err != nil {
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

// localForm is a form that the daemon enforces.
func (s *server) localForm(path codestory.Path, end time.Time) (action string, fields map[string]string) {
	expires := end.Unix() + 1 // never early
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

// receiveForm answers POST /upload/{story_id}/{path}. Nothing is looked up, and no byte of the file read, before the
// fields are proved.
func (s *server) receiveForm(w http.ResponseWriter, r *http.Request, p httprouter.Params) error {
	path, err := codestory.ParsePath(strings.TrimPrefix(p.ByName("path"), "/"))
	if err != nil {
		return errNotFound
	}
	select {
	case s.unproved <- struct{}{}:
	default:
		return errBusy
	}
	body := &patientBody{ReadCloser: http.MaxBytesReader(w, r.Body, codestory.MaxFormBytes+maxFormOverhead), w: w}
	r.Body = body
	file, err := s.provedForm(r, path)
	<-s.unproved
	if err != nil {
		return err
	}
	body.proved = true
	_ = http.NewResponseController(w).SetWriteDeadline(time.Time{}) // the file may take hours
	content := &formFile{r: file}
	if err := s.editor.Receive(r.Context(), path, content); err != nil {
		if content.broken {
			return errFormBody
		}
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// provedForm is the file of the form that r brings.
func (s *server) provedForm(r *http.Request, path codestory.Path) (*multipart.Part, error) {
	parts, err := r.MultipartReader()
	if err != nil {
		return nil, errFormBody
	}
	return verifyForm(parts, s.access.LinkKey(), path, time.Now())
}

// verifyForm reads the fields up to the file, and returns that once they are proved. Fields that mean nothing here are
// passed over.
func verifyForm(parts *multipart.Reader, key []byte, path codestory.Path, now time.Time) (*multipart.Part, error) {
	fields := url.Values{}
	for range maxFormFields {
		part, err := parts.NextPart()
		if err != nil {
			return nil, errFormBody
		}
		if part.FormName() == "file" {
			return part, checkForm(fields, key, path, now)
		}
		value, err := io.ReadAll(io.LimitReader(part, maxFieldBytes+1))
		if err != nil || len(value) > maxFieldBytes {
			return nil, errFormBody
		}
		fields.Add(part.FormName(), string(value))
	}
	return nil, errFormBody
}

func checkForm(fields url.Values, key []byte, path codestory.Path, now time.Time) error {
	for _, name := range []string{"key", "Content-Type", "exp", "sig"} {
		if len(fields[name]) != 1 {
			return errFormInvalid
		}
	}
	expires, err := strconv.ParseInt(fields.Get("exp"), 10, 64)
	if err != nil || strconv.FormatInt(expires, 10) != fields.Get("exp") ||
		fields.Get("key") != path.Key() || fields.Get("Content-Type") != formType ||
		!hmac.Equal([]byte(fields.Get("sig")), []byte(formSignature(key, path, expires))) {
		return errFormInvalid
	}
	if now.Unix() >= expires {
		return errFormExpired
	}
	return nil
}

// formFile is the file of a form, which ends with an error where it has too few or too many bytes.
type formFile struct {
	r      io.Reader
	n      int64
	broken bool // the request was cut off, or is no form
}

func (f *formFile) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	f.n += int64(n)
	tooLarge, cut := errors.AsType[*http.MaxBytesError](err)
	switch {
	case f.n > codestory.MaxFormBytes, cut && tooLarge != nil:
		return n, errFormLarge
	case err == io.EOF && f.n == 0:
		return n, errFormEmpty
	case err != nil && err != io.EOF:
		f.broken = true
	}
	return n, err
}

// patientBody is a body that may take hours, as long as it moves, once it is proved. Until then it has as long as others.
type patientBody struct {
	io.ReadCloser
	w      http.ResponseWriter
	proved bool
}

func (b *patientBody) Read(p []byte) (int, error) {
	if b.proved {
		// A writer without deadlines, as in tests, has no slow client either.
		_ = http.NewResponseController(b.w).SetReadDeadline(time.Now().Add(formStall))
	}
	return b.ReadCloser.Read(p)
}

// formStall is how long no byte of a form may come.
const formStall = 30 * time.Second
