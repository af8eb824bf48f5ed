package s3

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"golang.org/x/net/http/httpproxy"

	"github.com/codestory/codestoryd/remote"
)

const (
	connectTimeout = 5 * time.Second
	// defaultStall is how long nothing may move on a connection while a request waits for the network.
	defaultStall = 30 * time.Second
	// expectContinueFrom is the size of a body, in bytes, above which the server is asked before it is sent, so that a
	// denied client gets the reason and not a connection that breaks while the body is on its way.
	expectContinueFrom = 1 << 20
)

var errStalled = errors.New("nothing moved on the connection for too long")

// transport sends the requests of a Store. It gives a request up if nothing moves, leaves a slow one that moves alone, and
// limits the bandwidth of bodies.
//
// It checks every answer before minio-go does, which takes whatever answers for an S3 server: a 200 of a network's login
// page for a stored object, its 404 for an absent one.
type transport struct {
	base    *http.Transport
	limiter *remote.Limiter
	stall   time.Duration
	skew    atomic.Int64 // the server's clock minus ours at the last refusal, in nanoseconds
}

// newTransport connects to the servers themselves or through the proxies in the options. HTTP/2 is off: all uploads would
// share one connection.
func newTransport(opts Options, roots *x509.CertPool) *transport {
	dialer := &net.Dialer{Timeout: connectTimeout, Control: sendLittleAhead}
	return &transport{
		base: &http.Transport{
			Proxy:                 opts.Proxies.forRequest(),
			TLSClientConfig:       &tls.Config{RootCAs: roots},
			DialContext:           dialer.DialContext,
			TLSHandshakeTimeout:   10 * time.Second,
			ExpectContinueTimeout: 2 * time.Second,
			IdleConnTimeout:       15 * time.Second, // a laptop that slept, or a router, kills idle connections silently
			MaxIdleConnsPerHost:   64,
			DisableCompression:    true, // an object is its bytes, whatever its Content-Encoding
		},
		limiter: opts.Limiter,
		stall:   cmp.Or(opts.stall, defaultStall),
	}
}

// RoundTrip implements http.RoundTripper. The timer that ends a stalled request runs while only the network is waited for,
// not the disk, the limiter or the reader of the answer.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(req.Context())
	timer := time.AfterFunc(t.stall, func() { cancel(errStalled) })
	req = req.Clone(ctx)
	if req.Body != nil {
		req.Body = &requestBody{transport: t, ctx: ctx, timer: timer, body: req.Body}
	}
	if req.ContentLength >= expectContinueFrom {
		req.Header.Set("Expect", "100-continue")
	}
	resp, err := t.base.RoundTrip(req)
	if req.Body != nil {
		req.Body.Close() // net/http may still read it, and set the timer
	}
	timer.Stop()
	if err != nil {
		err = stallOr(ctx, err)
		cancel(nil)
		return nil, err
	}
	resp.Body = &responseBody{ReadCloser: resp.Body, ctx: ctx, cancel: cancel, stall: t.stall}
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

// stallOr is errStalled if that ended ctx, else err.
func stallOr(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), errStalled) {
		return errStalled
	}
	return err
}

// requestBody is read and closed by one goroutine at a time, closed once, and not read after that. net/http may read and
// close a body from two goroutines, and continue after it has an answer; the reader with which minio-go signs a body piece
// by piece supports neither. Nothing is read after ctx has ended, which net/http may notice too late.
type requestBody struct {
	*transport
	ctx   context.Context
	timer *time.Timer

	mu     sync.Mutex
	body   io.ReadCloser
	closed bool
}

func (b *requestBody) Read(p []byte) (int, error) {
	n, err := b.read(p[:min(len(p), b.limiter.Chunk())])
	if limited := b.limiter.Wait(b.ctx, n); limited != nil && n > 0 {
		return 0, limited
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed {
		b.timer.Reset(b.stall)
	}
	return n, err
}

func (b *requestBody) read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return 0, io.EOF // net/http closes the connection if that is too early
	}
	b.timer.Stop()
	if err := b.ctx.Err(); err != nil {
		return 0, err
	}
	return b.body.Read(p)
}

func (b *requestBody) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil
	}
	b.closed = true // the timer runs on: net/http closes a body that was sent, and waits for the answer
	return b.body.Close()
}

// responseBody ends a read for which the network brings nothing.
type responseBody struct {
	io.ReadCloser
	ctx    context.Context
	cancel context.CancelCauseFunc
	stall  time.Duration
}

func (b *responseBody) Read(p []byte) (int, error) {
	timer := time.AfterFunc(b.stall, func() { b.cancel(errStalled) })
	n, err := b.ReadCloser.Read(p)
	timer.Stop()
	if err != nil && err != io.EOF {
		err = stallOr(b.ctx, err)
	}
	return n, err
}

func (b *responseBody) Close() error {
	defer b.cancel(nil)
	return b.ReadCloser.Close()
}

// isForeign reports whether the answer cannot be that of an S3 server. A 5xx, or a refusal of a large body, may come from a
// proxy in front of one.
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

// foreignError is an answer that does not come from an S3 server.
type foreignError struct{ status, contentType, location string }

func (e *foreignError) Error() string {
	s := fmt.Sprintf("the answer is %s of type %q", e.status, e.contentType)
	if e.location != "" {
		s += ", which leads to " + e.location
	}
	return s
}

// Proxies are the proxies that requests go through, as HTTP_PROXY, HTTPS_PROXY and NO_PROXY name them: URLs by the scheme
// of the endpoint, and the hosts that are reached directly.
type Proxies struct{ HTTP, HTTPS, None string }

// forRequest chooses the proxy of a request. Loopback addresses, and the link-local ones at which clouds give out
// credentials, are always reached directly.
func (p Proxies) forRequest() func(*http.Request) (*url.URL, error) {
	config := httpproxy.Config{HTTPProxy: p.HTTP, HTTPSProxy: p.HTTPS, NoProxy: p.None}
	choose := config.ProxyFunc()
	return func(req *http.Request) (*url.URL, error) {
		if ip := net.ParseIP(req.URL.Hostname()); ip.IsLinkLocalUnicast() {
			return nil, nil
		}
		return choose(req.URL)
	}
}

// roots are the certificates of the bundle; nil for the system's.
func (o Options) roots() (*x509.CertPool, error) {
	if o.CABundle == "" {
		return nil, nil
	}
	b, err := os.ReadFile(o.CABundle)
	if err != nil {
		return nil, fmt.Errorf("AWS_CA_BUNDLE cannot be read: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(b) {
		return nil, fmt.Errorf("AWS_CA_BUNDLE %s has no certificates in PEM", o.CABundle)
	}
	return roots, nil
}

// credentialsClient requests credentials through the same proxies.
func (o Options) credentialsClient(roots *x509.CertPool) *awshttp.BuildableClient {
	return awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
		t.Proxy = o.Proxies.forRequest()
		t.TLSClientConfig = &tls.Config{RootCAs: roots}
		t.DisableKeepAlives = true // once in an hour
	})
}

// isPlaintext reports whether a request to the endpoint can be tampered with on its way. Then parts are signed with the
// digest of their content, or else an attacker could keep a request and send other bytes with it. TLS protects them over
// https, and to a server on this machine there is no way; the digest would cost half as much as everything else.
//
// An object that is put with one request over http is signed in any case: some servers take one whose connection was cut
// for a whole one unless a signature is missing at its end.
func isPlaintext(endpoint *url.URL) bool {
	if endpoint.Scheme == "https" || endpoint.Hostname() == "localhost" { // RFC 6761 keeps that name for this machine
		return false
	}
	address, err := netip.ParseAddr(endpoint.Hostname())
	return err != nil || !address.Unmap().IsLoopback()
}
