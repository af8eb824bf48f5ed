package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
)

// writeJSON answers with v. Whoever calls it is done: an error of the connection is nobody's to handle.
func writeJSON(w http.ResponseWriter, status int, v any) error {
	writeBody(w, status, "application/json", v)
	return nil
}

func writeBody(w http.ResponseWriter, status int, contentType string, v any) {
	writeEncoded(w, status, contentType, encode(v))
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

func writeEncoded(w http.ResponseWriter, status int, contentType string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(body)
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
