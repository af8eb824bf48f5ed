package s3

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// expectContinueFrom is the size of a body, in bytes, from which on the server is asked before it is sent. Who is
// denied learns that from its answer, not from a connection that breaks while the body is on its way.
const expectContinueFrom = 1 << 20

// transport sends the requests of a Store and looks at every answer before minio-go does, which takes whatever
// answers for an S3 server: a 200 of a network's login page for a stored object, its 404 for an absent one.
type transport struct {
	base *http.Transport
	skew atomic.Int64 // the server's clock less ours at the last refusal, in nanoseconds
}

// newTransport sends to the servers themselves, or by the proxies in the options. HTTP/2 is left off: all uploads would
// share one connection.
func newTransport(opts Options, roots *x509.CertPool) *transport {
	stall := cmp.Or(opts.stall, defaultStall)
	dialer := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}
	pieces := new(pieceBuffers)
	return &transport{base: &http.Transport{
		Proxy:           opts.Proxies.forRequest(),
		TLSClientConfig: &tls.Config{RootCAs: roots},
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := dialer.DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return newConn(c, opts.Limiter, stall, pieces), nil
		},
		TLSHandshakeTimeout:   10 * time.Second,
		ExpectContinueTimeout: 2 * time.Second,
		IdleConnTimeout:       stall / 2, // before a read without an answer counts as a stall
		MaxIdleConnsPerHost:   64,
		DisableCompression:    true, // an object is its bytes, whatever its Content-Encoding
	}}
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		body := &guard{ctx: req.Context(), body: req.Body}
		defer body.Close()
		req = req.Clone(req.Context())
		req.Body = body
	}
	if req.ContentLength >= expectContinueFrom {
		req.Header.Set("Expect", "100-continue")
	}
	resp, err := t.base.RoundTrip(withItsPatience(req))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusForbidden {
		if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
			t.skew.Store(int64(time.Until(date)))
		}
	}
	if isForeign(req, resp) {
		resp.Body.Close()
		return nil, &foreignError{resp.Status, resp.Header.Get("Content-Type"), resp.Header.Get("Location")}
	}
	return resp, nil
}

// guard is a request's body that is read and closed by one at a time, closed once, and not read after that. net/http
// may read and close a body from two goroutines, and go on when it has an answer; the reader with which minio-go signs
// a body piece by piece endures neither. Nothing more is read once ctx has ended, which net/http may notice too late.
type guard struct {
	ctx    context.Context
	mu     sync.Mutex
	body   io.ReadCloser
	closed bool
}

func (g *guard) Read(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return 0, http.ErrBodyReadAfterClose
	}
	if err := g.ctx.Err(); err != nil {
		return 0, err
	}
	return g.body.Read(p)
}

func (g *guard) Close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return nil
	}
	g.closed = true
	return g.body.Close()
}

// isForeign reports whether the answer cannot be that of an S3 server. What fails with a 5xx may well be a proxy in
// front of one, and so may what finds a body too large.
func isForeign(req *http.Request, resp *http.Response) bool {
	for name := range resp.Header {
		if strings.HasPrefix(name, "X-Amz-") {
			return false
		}
	}
	contentType, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	html, xml := contentType == "text/html", contentType == "application/xml" || contentType == "text/xml"
	switch {
	case resp.StatusCode >= 500, resp.StatusCode == http.StatusRequestEntityTooLarge,
		resp.StatusCode == http.StatusTooManyRequests:
		return false
	case req.Method == http.MethodHead: // an object may be HTML itself, but then it has an ETag
		return html && (resp.StatusCode >= 300 || resp.Header.Get("Etag") == "")
	case resp.StatusCode >= 300 && resp.StatusCode != http.StatusNotModified: // S3 explains itself in XML
		return !xml
	case req.URL.Query().Has("list-type"): // minio-go takes any markup for an empty list
		return !xml
	case req.Method == http.MethodGet:
		return html && resp.Header.Get("Etag") == ""
	default:
		return html
	}
}

// foreignError is an answer of something that is no S3 server.
type foreignError struct{ status, contentType, location string }

func (e *foreignError) Error() string {
	s := fmt.Sprintf("the answer is %s of type %q", e.status, e.contentType)
	if e.location != "" {
		s += ", which leads to " + e.location
	}
	return s
}
