package api

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/codestory/codestoryd"
)

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
	errNotFound    = newProblem(http.StatusNotFound, "not_found", "there is no such thing here")
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

// problemOf is what a client is told about err. internal means that the answer hides what happened, so that it
// belongs in the log.
func problemOf(err error) (p *Problem, internal bool) {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p, false
	}
	switch {
	case errors.Is(err, codestory.ErrNotFound):
		return errNotFound, false
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

// write answers with the problem, without what may have been said of a file before it came up.
func (p *Problem) write(w http.ResponseWriter) {
	for _, name := range []string{"Etag", "Last-Modified", "Accept-Ranges", "Content-Disposition"} {
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
