package api

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/codestory/codestoryd"
)

// writeJSON answers with v. An error of the connection is nobody's to handle.
func writeJSON(w http.ResponseWriter, status int, v any) error {
	writeBody(w, status, "application/json", v)
	return nil
}

func writeBody(w http.ResponseWriter, status int, contentType string, v any) {
	body := encode(v)
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// encode is one of our own shapes as JSON.
func encode(v any) []byte {
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false) // keeps the "&" of URLs readable; the answer is never taken for HTML
	if err := enc.Encode(v); err != nil {
		panic(err) // they always encode
	}
	return body.Bytes()
}

// maxMaking is how many large answers are made at once: they take processors and memory that others want too.
const maxMaking = 2

// make calls f, which makes an answer or a part of one that may be large, when it is its turn. f waits for nobody.
func (s *server) make(ctx context.Context, f func() error) error {
	select {
	case s.making <- struct{}{}:
		defer func() { <-s.making }()
		return f()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Problem is an error as the API answers it (RFC 9457).
type Problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"` // a sentence for people
	Code   string `json:"code"`   // stable, for programs
}

// Error is the detail, with status and code behind it.
func (p *Problem) Error() string {
	return p.Detail + " (" + strconv.Itoa(p.Status) + " " + p.Code + ")"
}

func newProblem(status int, code, detail string) *Problem {
	return &Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: detail, Code: code}
}

func badRequest(code, detail string) *Problem { return newProblem(http.StatusBadRequest, code, detail) }

var (
	errInternal = newProblem(http.StatusInternalServerError, "internal",
		"something went wrong inside the daemon; its log says what")
	errUnavailable = newProblem(http.StatusServiceUnavailable, "storage_unavailable", "storage temporarily unavailable")
	errChanging    = newProblem(http.StatusServiceUnavailable, "file_changing", "the file is being written: ask again")
	errNotOurs     = newProblem(http.StatusConflict, "not_ours",
		"all of this story was stored by another program, whose objects this daemon does not delete: use that program, or an S3 client")
	errDiskFull = newProblem(http.StatusInsufficientStorage, "disk_full",
		"the disk with the daemon's data directory is full: make room there, and ask again")
	errCursor = badRequest("invalid_cursor", "cursor is not a next_cursor of this list: start again without it")
)

// retryAfterSeconds is when a client may ask again that met a store which does not answer.
const retryAfterSeconds = 10

// problemOf is what the client of the request hears about err. internal means that the answer hides what happened, so
// that it belongs in the log.
func (s *server) problemOf(err error, r *request) (p *Problem, internal bool) {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p, false
	}
	switch {
	case errors.Is(err, codestory.ErrNotFound):
		return missing(s.whatIsMissing(r)), false
	case errors.Is(err, codestory.ErrUnavailable):
		return errUnavailable, false
	case errors.Is(err, codestory.ErrChanged):
		return errChanging, false
	case errors.Is(err, codestory.ErrNotOurs):
		return errNotOurs, false
	case errors.Is(err, codestory.ErrDiskFull):
		return errDiskFull, false
	case errors.Is(err, codestory.ErrFormUsed):
		return errFormUsed, false
	case errors.Is(err, codestory.ErrFormBusy):
		return errFormBusy, false
	case errors.Is(err, codestory.ErrCursor):
		return errCursor, false
	default:
		return errInternal, true
	}
}

// missing is the answer if there is no such thing.
func missing(detail string) *Problem { return newProblem(http.StatusNotFound, "not_found", detail) }

// whatIsMissing names what the request asks for and the daemon does not have. It asks nobody but the daemon.
func (s *server) whatIsMissing(r *request) string {
	if name := r.PathValue("name"); name != "" {
		return "no token " + shown(name)
	}
	if r.story == "" && r.PathValue("id") != "" {
		return "no story " + shown(r.PathValue("id")) + ": a story's id is a UUID"
	}
	if r.story == "" {
		return "no file " + shown(strings.TrimPrefix(cmp.Or(r.PathValue("path"), r.PathValue("file")), "/"))
	}
	if _, err := s.lib.OwnerNow(r.story); errors.Is(err, codestory.ErrNotFound) {
		return "no story " + string(r.story)
	}
	switch n := r.PathValue("n"); {
	case r.file != "":
		return "the story has no file " + shown(r.file.InStory())
	case n != "" && r.chapter == 0:
		return "no chapter " + shown(n)
	case n != "":
		return s.whichChapters(r)
	case strings.HasSuffix(r.URL.Path, "/metadata"):
		return "the story has no metadata.json"
	default:
		return "the story has no audio/story.mp3"
	}
}

// whichChapters says which chapters the story has, if it has not the one that the request asks for.
func (s *server) whichChapters(r *request) string {
	story, err := s.lib.Story(r.Context(), r.story)
	last := len(story.Chapters) - 1
	switch {
	case err != nil || last < 0:
		return "the story has no chapters"
	case slices.ContainsFunc(story.Chapters, func(c codestory.Chapter) bool { return c.Number == r.chapter }):
		return fmt.Sprintf("chapter %d of the story has no audio", r.chapter)
	case last == 0:
		return fmt.Sprintf("the story has only chapter %d", story.Chapters[0].Number)
	default:
		return fmt.Sprintf("the story has chapters %d to %d", story.Chapters[0].Number, story.Chapters[last].Number)
	}
}

// shown is a name in a sentence, cut if it is long.
func shown(name string) string {
	if len(name) > 200 {
		return name[:200] + "…"
	}
	return name
}

// write answers with the problem, without what may have been said of a file before it came up.
func (p *Problem) write(w http.ResponseWriter) {
	for _, name := range []string{"Etag", "Last-Modified", "Accept-Ranges", "Content-Disposition", "Content-Security-Policy"} {
		w.Header().Del(name)
	}
	if p.Status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", strconv.Itoa(retryAfterSeconds))
	}
	if p.Status == http.StatusTooManyRequests && w.Header().Get("Retry-After") == "" {
		w.Header().Set("Retry-After", "1")
	}
	writeBody(w, p.Status, "application/problem+json", p)
}
