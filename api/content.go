package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/codestory/codestoryd"
)

// opener opens the bytes of a file.
type opener func(context.Context, codestory.Path) (*codestory.Content, error)

// serveFile answers with the bytes of the file that open finds, or the requested ranges of it. If the file is replaced
// before the answer has begun, the new version is served; later the answer is cut off. An error means that nothing was
// written.
func serveFile(open opener, w http.ResponseWriter, r *http.Request, path codestory.Path, cacheControl string) error {
	serve := func() error {
		content, err := open(r.Context(), path)
		if err != nil {
			return err
		}
		defer content.Close()
		return serveContent(w, r, content, path.ContentType(), cacheControl)
	}
	err := serve()
	if errors.Is(err, codestory.ErrChanged) {
		err = serve()
	}
	return err
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

// serveContent answers a GET or HEAD with one version of a file. http.ServeContent does the work; this adds that an
// error before the first byte is still a Problem, and that an invalid Range is ignored, as players expect. The Body of
// a HEAD may be nil.
func serveContent(w http.ResponseWriter, r *http.Request, content *codestory.Content, contentType, cacheControl string) error {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Cache-Control", cacheControl)
	h.Set("Accept-Ranges", "bytes")
	if !inert(contentType) {
		h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	}
	if content.ETag != "" {
		h.Set("ETag", `"`+content.ETag+`"`)
	}
	body := &seeker{body: content.Body, size: content.Size}
	answer := &lateWriter{ResponseWriter: w}
	http.ServeContent(answer, withRange(r, content), "", content.Modified, body)
	err := cmp.Or(body.close(), answer.err)
	switch {
	case answer.status == http.StatusPreconditionFailed:
		return newProblem(http.StatusPreconditionFailed, "precondition_failed",
			"the file is not the version that the request asks for")
	case answer.status == http.StatusRequestedRangeNotSatisfiable && h.Get("Content-Range") == "":
		return serveContent(w, withoutRange(r), content, contentType, cacheControl)
	case answer.status == http.StatusRequestedRangeNotSatisfiable:
		return newProblem(http.StatusRequestedRangeNotSatisfiable, "range_not_satisfiable",
			"the file has no bytes in this range")
	}
	switch {
	case err == nil:
		answer.begin()
		return nil
	case answer.began:
		panic(http.ErrAbortHandler) // nobody may take this for the whole answer
	default:
		h.Del("Content-Range")
		return err
	}
}

// maxRanges is the number of ranges above which a request is answered with the whole file.
const maxRanges = 32

// emptySuffix is a range of the last 0 bytes. It cannot be satisfied, but net/http answers it with 206.
var emptySuffix = regexp.MustCompile(`([=,\s])-0+\s*(,|$)`)

// withRange is the request with the Range that counts, or none: ranges are for one GET header and for files that are
// not empty. A date in If-Range proves nothing if the file may have changed again within its second.
func withRange(r *http.Request, content *codestory.Content) *http.Request {
	ranges := r.Header.Values("Range")
	if len(ranges) == 0 {
		return r
	}
	since := r.Header.Get("If-Range")
	vague := since != "" && !strings.HasSuffix(since, `"`) && time.Since(content.Modified) <= time.Second
	if len(ranges) > 1 || r.Method != http.MethodGet || content.Size == 0 || vague || strings.Count(ranges[0], ",") >= maxRanges {
		return withoutRange(r)
	}
	if emptySuffix.MatchString(ranges[0]) {
		r = withoutRange(r)
		r.Header.Set("Range", emptySuffix.ReplaceAllString(ranges[0], fmt.Sprintf("${1}%d-$2", content.Size)))
	}
	return r
}

func withoutRange(r *http.Request) *http.Request {
	r = r.WithContext(r.Context())
	r.Header = r.Header.Clone()
	r.Header.Del("Range")
	return r
}

// seeker is a Body as http.ServeContent reads it. It opens a range at the first read behind a Seek, so that what is not
// sent is not opened.
type seeker struct {
	size int64

	mu     sync.Mutex     // guards what follows: a goroutine of ServeContent reads several ranges, and may outlive it
	body   codestory.Body // nil after close
	offset int64
	rest   io.Reader // from offset on; nil if none is open
	err    error     // what reading failed with
}

// close ends reading, and returns the error that it failed with.
func (s *seeker) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.body = nil
	return s.err
}

func (s *seeker) Seek(offset int64, whence int) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch whence {
	case io.SeekCurrent:
		offset += s.offset
	case io.SeekEnd:
		offset += s.size
	}
	s.offset, s.rest = offset, nil
	return offset, nil
}

func (s *seeker) Read(p []byte) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.body == nil {
		return 0, os.ErrClosed
	}
	if s.offset >= s.size {
		return 0, io.EOF
	}
	if s.rest == nil {
		if s.rest, s.err = s.body.Range(s.offset, s.size-s.offset); s.err != nil {
			return 0, s.err
		}
	}
	n, err = s.rest.Read(p)
	s.offset += int64(n)
	if err == io.EOF && s.offset < s.size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// copyTo writes the next n bytes to w. It asks the Body for these and no more, which is one request to a store.
func (s *seeker) copyTo(w io.Writer, n int64) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n == 0 {
		return 0, nil
	}
	rest, err := s.body.Range(s.offset, n)
	if err != nil {
		s.err = err
		return 0, err
	}
	var written int64
	if whole, ok := rest.(io.WriterTo); ok {
		written, s.err = whole.WriteTo(w)
	} else {
		written, s.err = copyPieces(w, io.LimitReader(rest, n))
	}
	if s.err == nil && written < n {
		s.err = io.ErrUnexpectedEOF
	}
	return written, s.err
}

const bufferSize = 128 << 10

// buffers hold what is on its way from a store to a player: one for each answer in progress.
var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// copyPieces copies by Write alone, so that the client gets time for each piece.
func copyPieces(w io.Writer, src io.Reader) (int64, error) {
	buffer := buffers.Get().(*[bufferSize]byte)
	defer buffers.Put(buffer)
	return io.CopyBuffer(struct{ io.Writer }{w}, src, buffer[:])
}

// streamPatience is how long a client may read nothing of a file, as a paused player does. If its stream has ended by
// then, it asks for the rest.
const streamPatience = 5 * time.Minute

// extend gives the client this long to read what is written next. A writer without deadlines, as in tests, has no slow
// client.
func extend(w http.ResponseWriter, patience time.Duration) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(patience))
}

// lateWriter sends the status with the first bytes: until there are some, something else may be answered.
type lateWriter struct {
	http.ResponseWriter
	status int // as WriteHeader got it
	began  bool
	err    error // what writing failed with
}

func (w *lateWriter) WriteHeader(status int) { w.status = status }

func (w *lateWriter) begin() {
	if !w.began {
		w.began = true
		w.ResponseWriter.WriteHeader(w.status)
	}
}

func (w *lateWriter) Write(b []byte) (written int, err error) {
	if w.status >= http.StatusBadRequest {
		return len(b), nil // net/http's text, which a Problem replaces
	}
	for written < len(b) && err == nil {
		w.begin()
		extend(w.ResponseWriter, streamPatience)
		var n int
		n, err = w.ResponseWriter.Write(b[written:min(len(b), written+bufferSize)])
		written += n
	}
	w.err = err
	return written, err
}

// ReadFrom is how io.CopyN hands over a single range, with its length.
func (w *lateWriter) ReadFrom(src io.Reader) (n int64, err error) {
	if limited, ok := src.(*io.LimitedReader); ok {
		if body, ok := limited.R.(*seeker); ok {
			return body.copyTo(w, limited.N)
		}
	}
	return copyPieces(w, src)
}
