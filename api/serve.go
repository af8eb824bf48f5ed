package api

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/codestory/codestoryd"
)

// opener finds the bytes of a file.
type opener func(context.Context, codestory.Path) (*codestory.Content, error)

// serveFile answers with the bytes of the file, or the ranges of it that are asked for, wherever they are.
func (s *server) serveFile(w http.ResponseWriter, r *http.Request, path codestory.Path, cacheControl string) error {
	return serveFrom(s.lib.Open, w, r, path, cacheControl)
}

// serveFrom is serveFile with the bytes that open finds. A file that is replaced before the answer has begun is served
// as it is then. An error comes before anything was written.
func serveFrom(open opener, w http.ResponseWriter, r *http.Request, path codestory.Path, cacheControl string) error {
	err := serveVersion(open, w, r, path, cacheControl)
	if errors.Is(err, codestory.ErrChanged) {
		err = serveVersion(open, w, r, path, cacheControl)
	}
	return err
}

func serveVersion(open opener, w http.ResponseWriter, r *http.Request, path codestory.Path, cacheControl string) error {
	content, err := open(r.Context(), path)
	if err != nil {
		return err
	}
	defer content.Close()
	contentType := path.ContentType()
	h := w.Header()
	h.Set("Cache-Control", cacheControl)
	if !inert(contentType) {
		h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	}
	return serveContent(w, r, content, contentType)
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

// serveContent answers a GET or HEAD for one version of a file as RFC 9110 says. http.ServeContent would do, but that it
// does not say how much of a range it will read, which a store has to be told, and has its own idea of some headers.
func serveContent(w http.ResponseWriter, r *http.Request, content *codestory.Content, contentType string) error {
	h := w.Header()
	version := representation{modified: content.Modified}
	if content.ETag != "" {
		version.etag = `"` + content.ETag + `"`
		h.Set("ETag", version.etag)
	}
	if !content.Modified.IsZero() {
		h.Set("Last-Modified", content.Modified.UTC().Format(http.TimeFormat))
	}
	h.Set("Accept-Ranges", "bytes")
	switch version.conditions(r.Header) {
	case notModified:
		w.WriteHeader(http.StatusNotModified)
		return nil
	case failed:
		return newProblem(http.StatusPreconditionFailed, "precondition_failed",
			"the file is not the version that the request asks for")
	}
	var ranges []byteRange
	// The RFC knows ranges of a GET only.
	if header := r.Header.Values("Range"); len(header) == 1 && r.Method == http.MethodGet &&
		version.ranged(r.Header, time.Now()) {
		var unsatisfiable bool
		if ranges, unsatisfiable = parseRange(header[0], content.Size); unsatisfiable {
			h.Set("Content-Range", fmt.Sprintf("bytes */%d", content.Size))
			return newProblem(http.StatusRequestedRangeNotSatisfiable, "range_not_satisfiable",
				"the file has no bytes in this range")
		}
	}
	return serveParts(w, r, content, plan(h, ranges, content.Size, contentType))
}

// part is a piece of an answer: text, and after it a range of the file.
type part struct {
	text string
	byteRange
}

// layout is an answer that is about to be written.
type layout struct {
	status int
	parts  []part
}

// plan lays the answer out, and says in its header what it will be.
func plan(h http.Header, ranges []byteRange, size int64, contentType string) layout {
	h.Set("Content-Type", contentType)
	switch len(ranges) {
	case 0:
		h.Set("Content-Length", strconv.FormatInt(size, 10))
		return layout{http.StatusOK, []part{{byteRange: byteRange{0, size}}}}
	case 1:
		h.Set("Content-Length", strconv.FormatInt(ranges[0].length, 10))
		h.Set("Content-Range", ranges[0].header(size))
		return layout{http.StatusPartialContent, []part{{byteRange: ranges[0]}}}
	}
	boundary := rand.Text()
	l := layout{status: http.StatusPartialContent}
	length := int64(0)
	add := func(p part) {
		l.parts = append(l.parts, p)
		length += int64(len(p.text)) + p.length
	}
	for _, r := range ranges {
		add(part{fmt.Sprintf("\r\n--%s\r\nContent-Type: %s\r\nContent-Range: %s\r\n\r\n", boundary, contentType,
			r.header(size)), r})
	}
	add(part{text: "\r\n--" + boundary + "--\r\n"})
	h.Set("Content-Type", "multipart/byteranges; boundary="+boundary)
	h.Set("Content-Length", strconv.FormatInt(length, 10))
	return l
}

// header is the Content-Range of the range.
func (r byteRange) header(size int64) string {
	return fmt.Sprintf("bytes %d-%d/%d", r.offset, r.offset+r.length-1, size)
}

// serveParts writes the answer. An error comes before anything was written; after that an answer that cannot go on is
// cut off, so that nobody takes it for a whole one.
func serveParts(w http.ResponseWriter, r *http.Request, content *codestory.Content, l layout) error {
	if r.Method == http.MethodHead {
		w.WriteHeader(l.status)
		return nil
	}
	answer := &lateWriter{ResponseWriter: w, status: l.status}
	for _, p := range l.parts {
		if err := writePart(answer, p, content); err != nil && answer.began {
			panic(http.ErrAbortHandler)
		} else if err != nil {
			return err
		}
	}
	answer.begin()
	return nil
}

const bufferSize = 128 << 10

// buffers hold what is on its way from a file to a player: one for each answer under way.
var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

func writePart(w io.Writer, p part, content *codestory.Content) error {
	if p.length == 0 {
		_, err := io.WriteString(w, p.text)
		return err
	}
	body, err := content.Range(p.offset, p.length)
	if err != nil {
		return err
	}
	if whole, ok := body.(io.WriterTo); ok && p.text == "" {
		_, err := whole.WriteTo(w)
		return err
	}
	shared := buffers.Get().(*[bufferSize]byte)
	defer buffers.Put(shared)
	buffer, text := shared[:], p.text
	for left := p.length; left > 0; {
		n, err := body.Read(buffer[:min(left, int64(len(buffer)))])
		left -= int64(n)
		if err != nil && left > 0 {
			return err
		}
		if text != "" {
			if _, err := io.WriteString(w, text); err != nil {
				return err
			}
			text = ""
		}
		if _, err := w.Write(buffer[:n]); err != nil {
			return err
		}
	}
	return nil
}

// streamPatience is how long a client may read nothing of a file: a player that is paused does so. It asks for the rest when
// it goes on, if its stream has ended by then.
const streamPatience = 5 * time.Minute

// extend gives the client so much time to read what is written next. A writer without deadlines, as in tests, has no slow
// client either.
func extend(w http.ResponseWriter, patience time.Duration) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(patience))
}

// lateWriter sends the status with the first bytes: until there are some, something else may be answered.
type lateWriter struct {
	http.ResponseWriter
	status int
	began  bool
}

func (w *lateWriter) begin() {
	if !w.began {
		w.began = true
		w.ResponseWriter.WriteHeader(w.status)
	}
}

func (w *lateWriter) Write(b []byte) (written int, err error) {
	for written < len(b) && err == nil {
		w.begin()
		extend(w.ResponseWriter, streamPatience)
		var n int
		n, err = w.ResponseWriter.Write(b[written:min(len(b), written+bufferSize)])
		written += n
	}
	return written, err
}

// ReadFrom leaves the copying to the connection, which may have a way of its own.
func (w *lateWriter) ReadFrom(src io.Reader) (int64, error) {
	w.begin()
	extend(w.ResponseWriter, streamPatience)
	return io.Copy(w.ResponseWriter, src)
}
