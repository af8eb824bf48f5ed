package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/codestory/codestoryd/api"
	"github.com/codestory/codestoryd/internal/wait"
	"github.com/codestory/codestoryd/queue"
)

// longestPause is how long a request waits for the next session.
const longestPause = 5 * time.Second

// sessionHandler serves requests by the present session. Between two sessions they wait, so that a player is not
// refused because a database is being recovered.
type sessionHandler struct {
	mu      sync.Mutex
	now     *served        // nil between sessions
	changed wait.Broadcast // there is another
}

// served is what one session serves.
type served struct {
	http.Handler
	queue *queue.Queue
}

func newSessionHandler() *sessionHandler { return &sessionHandler{} }

func (h *sessionHandler) set(now *served) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = now
	h.changed.Announce()
}

// after waits for a session that is not last; nil if ctx ends before.
func (h *sessionHandler) after(ctx context.Context, last *served) *served {
	for {
		changed := h.changed.Changed()
		h.mu.Lock()
		now := h.now
		h.mu.Unlock()
		if now != nil && now != last {
			return now
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
	}
}

// ServeHTTP serves by the present session, and again by the next one what failed because the database is damaged.
func (h *sessionHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	limited, cancel := context.WithTimeout(r.Context(), longestPause)
	defer cancel()
	var last *served
	for {
		now := h.after(limited, last)
		if now == nil {
			refuse(w)
			return
		}
		answer := &answer{ResponseWriter: w, of: now, again: r.Method == http.MethodGet || r.Method == http.MethodHead}
		now.ServeHTTP(answer, r)
		if !answer.refused {
			return
		}
		last = now
		clear(w.Header())
	}
}

// refuse asks the client to come again.
func refuse(w http.ResponseWriter) {
	const status = http.StatusServiceUnavailable
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Retry-After", strconv.Itoa(int(longestPause.Seconds())))
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(api.Problem{
		Type: "about:blank", Title: http.StatusText(status), Status: status, Code: "recovering",
		Detail: "the database is being recovered: ask again",
	})
}

// answer withholds an answer that says no more than that the database is damaged.
type answer struct {
	http.ResponseWriter
	of      *served
	again   bool // it may be served again
	begun   bool
	refused bool
}

func (a *answer) WriteHeader(status int) {
	if a.refused = a.refused || a.again && !a.begun && status >= http.StatusInternalServerError && a.of.queue.Damage() != nil; !a.refused {
		a.begun = a.begun || status >= http.StatusOK
		a.ResponseWriter.WriteHeader(status)
	}
}

func (a *answer) Write(b []byte) (int, error) {
	if a.refused {
		return len(b), nil
	}
	a.begun = true
	return a.ResponseWriter.Write(b)
}

// ReadFrom leaves the copying to the connection, which may have a way of its own.
func (a *answer) ReadFrom(src io.Reader) (int64, error) {
	if a.refused {
		return io.Copy(io.Discard, src)
	}
	a.begun = true
	return io.Copy(a.ResponseWriter, src)
}

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }
