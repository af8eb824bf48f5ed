package api

import (
	"crypto/hmac"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/julienschmidt/httprouter"
)

// playLifetime is how long the link lasts that a player URL redirects to. A player that needs longer asks the player
// URL again.
const playLifetime = time.Hour

// play answers GET and HEAD /play/{story_id}/{path}, to whoever brings the story's KEY or a signature. Nothing is
// looked up before that is proved.
func (s *server) play(w http.ResponseWriter, r *http.Request, p httprouter.Params) error {
	path, err := codestory.ParsePath(strings.TrimPrefix(p.ByName("path"), "/"))
	if err != nil {
		return errNotFound
	}
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return errLinkInvalid
	}
	if q.Has("k") {
		return s.playKeyed(w, r, path, q)
	}
	link, err := verifyLink(s.access.LinkKey(), path, q, time.Now())
	if err != nil {
		return err
	}
	if link.download {
		w.Header().Set("Content-Disposition", s.attachment(r.Context(), path))
	}
	return s.serveFile(w, r, path, "private, no-cache")
}

// playKeyed answers a player URL: with the bytes while the file is on this machine or its store makes no links, else
// with a redirect to a link made this moment.
func (s *server) playKeyed(w http.ResponseWriter, r *http.Request, path codestory.Path, q url.Values) error {
	want := s.access.PlayKey(path.Story())
	if got := q["k"]; len(got) != 1 || want == "" || !hmac.Equal([]byte(got[0]), []byte(want)) {
		return errLinkInvalid
	}
	loc, err := s.lib.Locate(r.Context(), path)
	if err != nil {
		return err
	}
	if loc.Stored && !loc.Local {
		link, _, err := s.lib.Presign(r.Context(), path, codestory.LinkRequest{Method: r.Method, Expires: playLifetime})
		if err == nil {
			redirect(w, link, "private, no-store")
			return nil
		}
		if !errors.Is(err, codestory.ErrNoLinks) {
			return err
		}
	}
	return s.serveFile(w, r, path, "private, no-cache")
}

// serveFile answers with the bytes of the file, or the ranges of it that are asked for.
func (s *server) serveFile(w http.ResponseWriter, r *http.Request, path codestory.Path, cacheControl string) error {
	content, err := s.lib.Open(r.Context(), path)
	if err != nil {
		return err
	}
	mendRange(r.Header, content.Size)
	if severalRanges(r.Header) {
		content.ReadSeekCloser = &serialContent{content: content.ReadSeekCloser}
	}
	defer content.Close()
	contentType := path.ContentType()
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Cache-Control", cacheControl)
	if content.ETag != "" {
		h.Set("ETag", `"`+content.ETag+`"`)
	}
	if !inert(contentType) {
		h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	}
	file := &fileWriter{ResponseWriter: w}
	http.ServeContent(file, r, "", content.Modified, content.ReadSeekCloser)
	return file.refusal(path)
}

// inert reports whether a browser that shows something of this type runs no script in it.
func inert(contentType string) bool {
	kind, _, _ := strings.Cut(contentType, "/")
	switch kind {
	case "audio", "video":
		return true
	case "image":
		return contentType != "image/svg+xml"
	default:
		return contentType == "application/pdf"
	}
}

// fileWriter holds back the errors of http.ServeContent, which are plain text and tell of the inside, so that they can
// be answered as problems.
type fileWriter struct {
	http.ResponseWriter
	refused int // the status that was held back
	reason  strings.Builder
}

func (w *fileWriter) WriteHeader(status int) {
	if status >= http.StatusBadRequest {
		w.refused = status
		return
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *fileWriter) Write(b []byte) (int, error) {
	if w.refused != 0 {
		return w.reason.Write(b)
	}
	return w.ResponseWriter.Write(b)
}

// ReadFrom keeps the connection's own way of copying, where it has one.
func (w *fileWriter) ReadFrom(src io.Reader) (int64, error) { return io.Copy(w.ResponseWriter, src) }

// refusal is the error that was held back, nil where there was none.
func (w *fileWriter) refusal(path codestory.Path) error {
	switch w.refused {
	case 0:
		return nil
	case http.StatusRequestedRangeNotSatisfiable:
		return newProblem(w.refused, "range_not_satisfiable", "the file has no bytes in this range")
	case http.StatusPreconditionFailed:
		return newProblem(w.refused, "precondition_failed", "the file is not the version that the request asks for")
	default:
		return fmt.Errorf("serve %s: %s", path, strings.TrimSpace(w.reason.String()))
	}
}
