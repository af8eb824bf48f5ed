package api

import (
	"net/http"
	"strings"

	"github.com/codestory/codestoryd"
	"github.com/julienschmidt/httprouter"
)

const (
	defaultItems = 100  // items on a page
	maxItems     = 1000 // at most
)

// RetryRequest is the body of POST /api/queue/retry. It may be left out.
type RetryRequest struct {
	Path string `json:"path"` // "" is every file that waits for another attempt or a person
}

// RetryAnswer is what POST /api/queue/retry answers.
type RetryAnswer struct {
	Retried int `json:"retried"` // files
}

// PauseAnswer is what POST /api/queue/pause and /api/queue/resume answer.
type PauseAnswer struct {
	Paused bool `json:"paused"`
}

// listQueue answers GET /api/queue.
func (s *server) listQueue(w http.ResponseWriter, r *http.Request, _ httprouter.Params) error {
	q, err := parseQuery(r)
	if err != nil {
		return err
	}
	limit, err := intParam(q, "limit", defaultItems, 1, maxItems)
	if err != nil {
		return err
	}
	state := codestory.FileState(q.Get("state"))
	switch state {
	case "", codestory.Queued, codestory.Uploading, codestory.Retrying, codestory.Blocked:
	default:
		return badRequest("invalid_parameter", "state has to be queued, uploading, retrying or blocked")
	}
	page, err := s.queue.Queue(r.Context(), state, int(limit), q.Get("cursor"))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, page)
}

// operateQueue answers POST /api/queue/retry, pause and resume.
func (s *server) operateQueue(w http.ResponseWriter, r *http.Request, p httprouter.Params) error {
	switch action := p.ByName("action"); action {
	case "retry":
		var req RetryRequest
		if r.ContentLength != 0 {
			if err := readJSON(r, &req); err != nil {
				return err
			}
		}
		n, err := s.queue.Retry(r.Context(), req.Path)
		if err != nil {
			return err
		}
		return writeJSON(w, http.StatusOK, RetryAnswer{Retried: n})
	case "pause", "resume":
		pause := action == "pause"
		if err := s.queue.Pause(r.Context(), pause); err != nil {
			return err
		}
		return writeJSON(w, http.StatusOK, PauseAnswer{Paused: pause})
	default:
		return errNotFound
	}
}

// drop answers DELETE /api/queue/{path}.
func (s *server) drop(w http.ResponseWriter, r *http.Request, p httprouter.Params) error {
	if err := s.queue.Drop(r.Context(), strings.TrimPrefix(p.ByName("path"), "/")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
