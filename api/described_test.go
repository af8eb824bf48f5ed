package api_test

import (
	"encoding/json"
	"mime"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/codestory/codestoryd/api"
)

// description is what the API says of itself, as far as described needs it.
type description struct {
	Paths map[string]map[string]json.RawMessage
}

var readDescription = sync.OnceValues(func() (d description, err error) {
	w := &world{lib: newLibrary(), monitor: &monitor{}, access: &access{}}
	w.access.tokens = ownersToken()
	handler := api.New(w.services(), api.Options{})
	req := httptest.NewRequest(http.MethodGet, "/api/openapi.json", nil)
	req.URL.Host, req.URL.Scheme, req.Host = "", "", "localhost"
	req.Header.Set("Authorization", "Bearer "+ownerToken)
	rec := httptest.NewRecorder()
	handler.ServeHTTP(rec, req)
	return d, json.Unmarshal(rec.Body.Bytes(), &d)
})

// described holds every answer of h against the description: its status and its type.
func described(t testing.TB, h http.Handler) http.Handler {
	if _, measuring := t.(*testing.B); measuring {
		return h
	}
	d, err := readDescription()
	if err != nil {
		t.Fatal(err)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := &noted{ResponseWriter: w, status: http.StatusOK}
		h.ServeHTTP(answer, r)
		responses, ok := d.responses(r.Method, r.URL.Path)
		if !ok {
			return // no operation
		}
		response, ok := responses[strconv.Itoa(answer.status)]
		contentType, _, _ := mime.ParseMediaType(w.Header().Get("Content-Type"))
		matches := func(pattern string) bool { ok, _ := path.Match(pattern, contentType); return ok }
		if !ok || contentType != "" && !slices.ContainsFunc(response, matches) {
			t.Errorf("%s %s: %d with %q is not described", r.Method, r.URL.Path, answer.status, contentType)
		}
	})
}

// responses are the types of the operation's answers, by status.
func (d description) responses(method, target string) (map[string][]string, bool) {
	best := ""
	for template := range d.Paths {
		if matchesPath(template, target) && (best == "" || strings.Count(template, "{") < strings.Count(best, "{")) {
			best = template
		}
	}
	raw, ok := d.Paths[best][strings.ToLower(method)]
	if !ok {
		return nil, false
	}
	var operation struct {
		Responses map[string]struct{ Content map[string]any }
	}
	if err := json.Unmarshal(raw, &operation); err != nil {
		return nil, false
	}
	types := map[string][]string{}
	for status, response := range operation.Responses {
		types[status] = []string{}
		for contentType := range response.Content {
			types[status] = append(types[status], contentType)
		}
	}
	return types, true
}

// matchesPath reports whether the target is one of the template's. {path} is the rest.
func matchesPath(template, target string) bool {
	t, got := strings.Split(template, "/"), strings.Split(target, "/")
	if t[len(t)-1] == "{path}" && len(got) > len(t) {
		got = got[:len(t)]
	}
	return slices.EqualFunc(t, got, func(element, got string) bool {
		before, ending, parameter := strings.Cut(element, "{")
		_, ending, _ = strings.Cut(ending, "}")
		return element == got || parameter && got != "" && strings.HasPrefix(got, before) && strings.HasSuffix(got, ending)
	})
}

// noted is a ResponseWriter that knows its status.
type noted struct {
	http.ResponseWriter
	status int
}

func (w *noted) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *noted) Unwrap() http.ResponseWriter { return w.ResponseWriter }
