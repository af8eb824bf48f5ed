package api

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/julienschmidt/httprouter"

	"github.com/codestory/codestoryd"
)

// handler answers a request, or returns the error to answer it with; in that case it has written nothing.
type handler func(s *server, w http.ResponseWriter, r *request) error

// request is a request that its route lets in, with what its path names.
type request struct {
	*http.Request
	story   codestory.StoryID // {id}
	chapter int               // {n}; 0 is the whole story
	file    codestory.Path    // {id}/{path}
	caller  codestory.Token   // of routes that need a token
	owner   codestory.Owner   // of the story when the caller was let in; unknown for scope manage
	link    *localLink        // that is in the URL; nil if a KEY is
	user    string            // whose library the KEY opens
}

// newRouter makes the router of all routes. This is the only place that knows httprouter.
func (s *server) newRouter() *httprouter.Router {
	router := httprouter.New()
	router.RedirectTrailingSlash = false
	router.RedirectFixedPath = false
	router.NotFound = s.unrouted(notFound)
	router.MethodNotAllowed = s.unrouted(methodNotAllowed)
	byPattern := map[string][]route{}
	for _, rt := range routes {
		byPattern[rt.method+" "+rt.pattern()] = append(byPattern[rt.method+" "+rt.pattern()], rt)
		if rt.method == http.MethodGet { // httprouter adds no HEAD
			byPattern["HEAD "+rt.pattern()] = append(byPattern["HEAD "+rt.pattern()], rt)
		}
	}
	for key, matching := range byPattern {
		method, pattern, _ := strings.Cut(key, " ")
		router.Handle(method, pattern, func(w http.ResponseWriter, r *http.Request, params httprouter.Params) {
			for _, p := range params {
				r.SetPathValue(p.Key, p.Value)
			}
			s.serve(w, r, pattern, matching)
		})
	}
	return router
}

// serve answers a request by the first matching route, and handles its error or panic. The log gets the pattern, never
// the request's path or query, which may hold a KEY or a signature.
func (s *server) serve(w http.ResponseWriter, r *http.Request, pattern string, matching []route) {
	answer := &response{ResponseWriter: w}
	req := &request{Request: r}
	defer func() { s.metrics.count(pattern, r.Method, cmp.Or(answer.status, http.StatusOK)) }()
	defer func() {
		if v := recover(); v != nil {
			s.panicked(answer, r, pattern, v)
		}
	}()
	err := error(codestory.ErrNotFound)
	for _, rt := range matching {
		id, ok := "", true
		if file := r.PathValue("file"); file != "" {
			if id, ok = rt.matchFile(file); ok {
				r.SetPathValue("id", id)
			}
		}
		if ok {
			err = s.answer(answer, req, rt)
			break
		}
	}
	if err == nil {
		return
	}
	problem, internal := s.problemOf(err, req)
	if internal && r.Context().Err() == nil {
		s.log.Error("request failed", "method", r.Method, "route", pattern, "err", err)
	}
	problem.write(answer)
}

// answer lets the request in, takes a place in the route's room, and calls the handler.
func (s *server) answer(w http.ResponseWriter, r *request, rt route) error {
	who, err := s.admit(w, r, rt)
	if err != nil {
		return err
	}
	if who.name != "" {
		leave, err := s.rooms.enter(r, who, rt.room)
		if err != nil {
			return err
		}
		defer leave()
	}
	if rt.right == playStory {
		if r.owner, err = s.mayRead(r.Context(), r.caller, r.story); err != nil {
			return err
		}
	}
	return rt.handle(s, w, r)
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

// unrouted counts requests that no route is for. A method that is not one of HTTP's would be a metric of its own.
func (s *server) unrouted(h http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := &response{ResponseWriter: w}
		h(answer, r)
		s.metrics.count("none", "any", answer.status)
	})
}

func notFound(w http.ResponseWriter, r *http.Request) {
	newProblem(http.StatusNotFound, "not_found", "there is nothing at "+shown(r.URL.Path)).write(w)
}

func methodNotAllowed(w http.ResponseWriter, r *http.Request) {
	newProblem(http.StatusMethodNotAllowed, "method_not_allowed",
		"this resource allows "+w.Header().Get("Allow")).write(w)
}

// parsePath reads the story, the chapter and the file that the path names. The error is codestory.ErrNotFound.
func (s *server) parsePath(r *request, rt route) error {
	if rt.takesFile() {
		file, err := codestory.ParsePath(strings.TrimPrefix(r.PathValue("path"), "/"))
		if err != nil {
			return codestory.ErrNotFound
		}
		r.file, r.story = file, file.Story()
		return nil
	}
	if !strings.Contains(rt.path, "{id}") {
		return nil
	}
	id, err := codestory.ParseStoryID(bare(r.PathValue("id")))
	if err != nil {
		return codestory.ErrNotFound
	}
	// Two spellings of a UUID are two stories. The lower case is the usual one, so a client may send any other for it.
	if _, err := s.lib.OwnerNow(id); errors.Is(err, codestory.ErrNotFound) && rt.right != byKey {
		id = codestory.StoryID(strings.ToLower(string(id)))
	}
	r.story = id
	if digits := r.PathValue("n"); digits != "" {
		n, err := strconv.ParseUint(digits, 10, 31)
		if err != nil || n < 1 {
			return fmt.Errorf("chapter %q: %w", digits, codestory.ErrNotFound)
		}
		r.chapter = int(n)
	}
	return nil
}

// bare is a UUID without the braces that some programs write around it.
func bare(id string) string {
	if inner, ok := strings.CutPrefix(id, "{"); ok && strings.HasSuffix(inner, "}") {
		return strings.TrimSuffix(inner, "}")
	}
	return id
}

// audioPath is the path that codestoryd gives what the route is of.
func (r *request) audioPath() codestory.Path {
	if r.chapter == 0 {
		return codestory.StoryAudioPath(r.story)
	}
	return codestory.ChapterPath(r.story, r.chapter)
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

// Unwrap is for http.ResponseController.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// parseQuery reads the request's query, in which no parameter may stand twice. Its error is a *Problem.
func parseQuery(r *http.Request) (url.Values, error) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, badRequest("invalid_parameter", "the query is not encoded as a query should be")
	}
	for name, values := range q {
		if len(values) > 1 {
			return nil, badRequest("invalid_parameter", fmt.Sprintf("parameter %q is there more than once", name))
		}
	}
	return q, nil
}

// intParam is the whole number that a parameter holds, and fallback if it is absent. Its error is a *Problem.
func intParam(q url.Values, name string, fallback, least, most uint64) (uint64, error) {
	if !q.Has(name) {
		return fallback, nil
	}
	n, err := strconv.ParseUint(q.Get(name), 10, 64)
	if err != nil || n < least || n > most {
		return 0, badRequest("invalid_parameter", fmt.Sprintf("%s has to be a whole number from %d to %d", name,
			least, most))
	}
	return n, nil
}

// flagParam reports whether a parameter is 1; it may be 0 or absent otherwise. Its error is a *Problem.
func flagParam(q url.Values, name string) (bool, error) {
	switch v := q.Get(name); {
	case v == "1":
		return true, nil
	case v == "0" || !q.Has(name):
		return false, nil
	default:
		return false, badRequest("invalid_parameter", name+" has to be 1 or 0")
	}
}

// readJSON reads a body that is one JSON value with no field that v does not have. Its error is a *Problem.
func readJSON(r *http.Request, v any) error {
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/json" {
		return newProblem(http.StatusUnsupportedMediaType, "unsupported_media_type", "send JSON, as application/json")
	}
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	err := dec.Decode(v)
	if err == nil {
		switch _, err = dec.Token(); err {
		case io.EOF:
			return nil
		case nil:
			err = errors.New("something follows the JSON value")
		}
	}
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return newProblem(http.StatusRequestEntityTooLarge, "body_too_large",
			"the body has more than "+strconv.FormatInt(tooLarge.Limit, 10)+" bytes")
	}
	return badRequest("invalid_body", "the body does not fit: "+err.Error())
}
