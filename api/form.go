package api

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
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
func (s *server) receiveForm(w http.ResponseWriter, r *http.Request, p httprouter.Params) error {
	path, err := codestory.ParsePath(strings.TrimPrefix(p.ByName("path"), "/"))
	if err != nil {
		return errNotFound
	}
	if r.ContentLength > codestory.MaxFormBytes+2*maxFormFields {
		return errFormLarge
	}
	body := &formBody{ReadCloser: r.Body, control: http.NewResponseController(w), left: maxFormFields}
	r.Body = body
	file, expires, err := s.provedForm(r, path, body)
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
