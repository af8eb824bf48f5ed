package api

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/julienschmidt/httprouter"
)

// handler answers a request, or returns the error to answer it with, in which case it has written nothing yet.
type handler func(w http.ResponseWriter, r *http.Request, p httprouter.Params) error

// registrar is where routes are registered: a router.
type registrar interface {
	Handle(method, pattern string, h httprouter.Handle)
}

// routes registers every route. A parameter in the router can have no sibling, neither static nor of another name.
func (s *server) routes(router registrar) {
	s.read(router, "/healthz", s.healthz)
	s.read(router, "/readyz", s.readyz)
	s.read(router, "/metrics", s.managed(s.tellMetrics))
	s.read(router, "/api/openapi.json", s.signedIn(answers, s.openapi))
	s.read(router, "/api/status", s.managed(s.status))
	s.read(router, "/api/events", s.signedIn(streams, s.listen))

	s.read(router, "/api/storage/stories", s.signedIn(answers, s.stories))
	const story = "/api/storage/stories/:id"
	s.read(router, story, s.ofStory(answers, s.story))
	s.handle(router, http.MethodDelete, story, s.managed(s.deleteStory))
	s.handle(router, http.MethodPost, story+"/audio/upload-url", s.managed(s.uploadURL))
	s.read(router, story+"/metadata", s.ofStory(streams, s.metadata))
	s.read(router, story+"/audio", s.ofStory(answers, s.audio))
	s.read(router, story+"/audio/stream", s.ofStory(streams, s.stream))
	s.read(router, story+"/chapters/:n/audio", s.ofStory(answers, s.audio))
	s.read(router, story+"/chapters/:n/audio/stream", s.ofStory(streams, s.stream))

	s.handle(router, http.MethodPost, story+"/play-key", s.managed(s.rotatePlayKey))
	s.read(router, "/api/storage/library", s.signedIn(answers, s.library))
	s.handle(router, http.MethodPost, "/api/storage/library/play-key", s.managed(s.rotateLibraryKey))

	s.read(router, "/play/*path", s.play)
	s.read(router, "/feed/:file", s.feed)
	s.handle(router, http.MethodPost, formRoute+"*path", s.receiveForm)

	s.read(router, "/api/queue", s.managed(s.listQueue))
	s.handle(router, http.MethodPost, "/api/queue/:action", s.managed(s.operateQueue))
	s.handle(router, http.MethodDelete, "/api/queue/*path", s.managed(s.drop))

	s.read(router, "/api/tokens", s.managed(s.tokens))
	s.handle(router, http.MethodPost, "/api/tokens", s.managed(s.addToken))
	s.handle(router, http.MethodDelete, "/api/tokens/:name", s.managed(s.removeToken))
}

// read registers a route for GET and for HEAD, which the router does not add by itself.
func (s *server) read(router registrar, pattern string, h handler) {
	s.handle(router, http.MethodGet, pattern, h)
	s.handle(router, http.MethodHead, pattern, h)
}

// handle registers h, and what becomes of its error or panic. The log gets the route's pattern, never the request's
// path or query, which may hold a KEY or a signature.
func (s *server) handle(router registrar, method, pattern string, h handler) {
	router.Handle(method, pattern, func(w http.ResponseWriter, r *http.Request, p httprouter.Params) {
		answer := &response{ResponseWriter: w}
		defer func() { s.metrics.count(pattern, method, cmp.Or(answer.status, http.StatusOK)) }()
		defer func() {
			if v := recover(); v != nil {
				s.panicked(answer, r, pattern, v)
			}
		}()
		if err := h(answer, r, p); err != nil {
			problem, internal := problemOf(err)
			if internal && r.Context().Err() == nil {
				s.log.Error("request failed", "method", r.Method, "route", pattern, "err", err)
			}
			problem.write(answer)
		}
	})
}

// panicked answers a request whose handler panicked. An answer that has begun can only be cut off.
func (s *server) panicked(w *response, r *http.Request, pattern string, v any) {
	if v == http.ErrAbortHandler {
		panic(v)
	}
	s.log.Error("handler panicked", "method", r.Method, "route", pattern,
		"panic", fmt.Sprint(v), "stack", string(debug.Stack()))
	if w.status != 0 {
		panic(http.ErrAbortHandler)
	}
	errInternal.write(w)
}

// elsewhere counts what no route is for. A method that is not one of HTTP's would be a metric of its own.
func (s *server) elsewhere(h http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := &response{ResponseWriter: w}
		h(answer, r)
		s.metrics.count("none", "any", answer.status)
	})
}

func notFound(w http.ResponseWriter, _ *http.Request) { errNotFound.write(w) }

func methodNotAllowed(w http.ResponseWriter, r *http.Request) {
	newProblem(http.StatusMethodNotAllowed, "method_not_allowed",
		"this resource allows "+w.Header().Get("Allow")).write(w)
}

const (
	maxBodyBytes = 64 << 10
	bodyTimeout  = 10 * time.Second
)

// limitBody bounds the size of a request's body and the time it may take. The daemon takes no large ones but by forms,
// which have more of both once they are proved.
func limitBody(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.TransferEncoding) > 0 {
			// There may have been a Content-Length too, of which net/http says nothing: a proxy that went by that
			// would take the rest of the body for another request (RFC 9112, section 6.1).
			w.Header().Set("Connection", "close")
		}
		if r.ContentLength != 0 {
			// A writer without deadlines, as in tests, has no slow client either.
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout))
			if !strings.HasPrefix(r.URL.Path, formRoute) {
				r.Body = http.MaxBytesReader(w, r.Body, maxBodyBytes)
			}
		}
		next.ServeHTTP(w, r)
	})
}

// response remembers how the answer has begun.
type response struct {
	http.ResponseWriter
	status int // 0 before it has begun
}

func (w *response) WriteHeader(status int) {
	w.begin(status)
	w.ResponseWriter.WriteHeader(status)
}

// begin notes the status. However long the answer took to make, the client has its time to read it.
func (w *response) begin(status int) {
	if w.status == 0 {
		w.status = status
		extend(w.ResponseWriter, answerPatience)
	}
}

func (w *response) Write(b []byte) (int, error) {
	w.begin(http.StatusOK)
	return w.ResponseWriter.Write(b)
}

// ReadFrom leaves the copying to the connection, which may have a way of its own.
func (w *response) ReadFrom(src io.Reader) (int64, error) {
	w.begin(http.StatusOK)
	return io.Copy(w.ResponseWriter, src)
}

// Unwrap is for http.ResponseController.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }
