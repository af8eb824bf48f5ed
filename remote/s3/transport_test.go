package s3

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/codestory/codestoryd/remote"
	"github.com/codestory/codestoryd/remote/remotetest"
)

// fragile is a body as minio-go's: not to be used by two at once, nor after it was closed, nor closed twice.
type fragile struct {
	t      *testing.T
	busy   atomic.Bool
	closed bool
	strings.Reader
}

func (f *fragile) use() func() {
	if !f.busy.CompareAndSwap(false, true) {
		f.t.Error("two use the body at once")
	}
	if f.closed {
		f.t.Error("the body is used after it was closed")
	}
	return func() { f.busy.Store(false) }
}

func (f *fragile) Read(p []byte) (int, error) {
	defer f.use()()
	return f.Reader.Read(p)
}

func (f *fragile) Close() error {
	defer f.use()()
	f.closed = true
	return nil
}

func TestRequestBody(t *testing.T) {
	t.Parallel()
	body := &fragile{t: t, Reader: *strings.NewReader(strings.Repeat("x", 100_000))}
	tr := newTransport(Options{}, nil)
	g := &requestBody{transport: tr, ctx: t.Context(), timer: time.NewTimer(time.Hour), body: body}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 100 {
				if _, err := g.Read(make([]byte, 10)); err != nil && err != io.EOF {
					t.Errorf("read: %v", err)
				}
			}
			if err := g.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		})
	}
	wg.Wait()
	if rest, err := io.ReadAll(g); len(rest) > 0 || err != nil {
		t.Errorf("read after close: %d bytes, %v", len(rest), err)
	}
	if !body.closed {
		t.Error("the body was not closed")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	g = &requestBody{transport: tr, ctx: ctx, timer: g.timer, body: io.NopCloser(strings.NewReader("x"))}
	if n, err := g.Read(make([]byte, 1)); n != 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("read under an ended context: %d, %v", n, err)
	}
}

// server is the far end of a connection: it has read the head of the request and all of the body that came with it.
type server struct {
	net.Conn
	*bufio.Reader
}

func (s server) Read(p []byte) (int, error) { return s.Reader.Read(p) }

// roundTrip sends a request with size bytes to serve, over a connection in memory that holds nothing back, and reads the
// answer.
func roundTrip(t *testing.T, size int, opts Options, serve func(s server)) (got int, err error) {
	t.Helper()
	tr := newTransport(opts, nil)
	tr.base.DialContext = func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		go func() {
			defer far.Close()
			r := bufio.NewReaderSize(far, 16)
			for line, _ := r.ReadString('\n'); strings.TrimSpace(line) != ""; line, _ = r.ReadString('\n') {
			}
			serve(server{far, r})
		}()
		return near, nil
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://store.test/", strings.NewReader(strings.Repeat("x", size)))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	n, err := io.Copy(io.Discard, resp.Body)
	return int(n), err
}

const head = "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"

func TestStall(t *testing.T) {
	t.Parallel()
	const never = 24 * time.Hour
	for name, serve := range map[string]func(s server){
		"nothing is read":      func(server) { time.Sleep(never) },
		"the rest is not read": func(s server) { _, _ = io.CopyN(io.Discard, s, 100_000); time.Sleep(never) },
		"no answer":            func(s server) { _, _ = io.CopyN(io.Discard, s, 200_000); time.Sleep(never) },
		"an answer that ends": func(s server) {
			_, _ = io.CopyN(io.Discard, s, 200_000)
			_, _ = io.WriteString(s, head+"x")
			time.Sleep(never)
		},
		"an answer without body": func(s server) {
			_, _ = io.CopyN(io.Discard, s, 200_000)
			_, _ = io.WriteString(s, head)
			time.Sleep(never)
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			_, err := roundTrip(t, 200_000, Options{}, serve)
			if took := time.Since(start); !errors.Is(err, errStalled) || took < defaultStall || took > defaultStall+time.Second {
				t.Errorf("%s: %v after %v, want a stall after %v", name, err, took, defaultStall)
			}
			time.Sleep(never) // until the server has ended
		})
	}
}

// TestSlowIsNoStall: what moves, or waits for something else than the network, is left alone for hours.
func TestSlowIsNoStall(t *testing.T) {
	t.Parallel()
	answer := func(s server, pause time.Duration) {
		_, _ = io.WriteString(s, head)
		for range 500 {
			time.Sleep(pause)
			_, _ = io.WriteString(s, "x")
		}
	}
	for name, test := range map[string]struct {
		limit int64 // bytes per second
		serve func(s server)
		want  time.Duration // at least
	}{
		"a slow upload": {0, func(s server) {
			for range 10_000 {
				time.Sleep(time.Second / 2)
				_, _ = io.CopyN(io.Discard, s, 1000)
			}
			answer(s, 0)
		}, 5000 * time.Second},
		"a slow download": {0, func(s server) {
			_, _ = io.CopyN(io.Discard, s, 10_000_000)
			answer(s, 29*time.Second)
		}, 500 * 29 * time.Second},
		"a limit": {1000, func(s server) {
			_, _ = io.CopyN(io.Discard, s, 10_000_000)
			answer(s, 0)
		}, 9999 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			opts := Options{Limiter: remote.NewLimiter(func(time.Time) int64 { return test.limit })}
			start := time.Now()
			got, err := roundTrip(t, 10_000_000, opts, test.serve)
			if took := time.Since(start); err != nil || got != 500 || took < test.want {
				t.Errorf("%s: %d bytes, %v after %v", name, got, err, took)
			}
		})
	}
}

func TestIsPlaintext(t *testing.T) {
	t.Parallel()
	for endpoint, want := range map[string]bool{
		"http://127.0.0.1:9000":          false,
		"http://127.1.2.3":               false,
		"http://[::1]:9000":              false,
		"http://[::ffff:127.0.0.1]:9000": false,
		"http://localhost:9000":          false,
		"https://s3.amazonaws.com":       false,
		"http://s3.amazonaws.com":        true,
		"http://minio:9000":              true,
		"http://192.168.0.7:9000":        true,
		"http://127.0.0.1.example.com":   true,
		"http://localhost.example.com":   true,
	} {
		u, err := url.Parse(endpoint)
		if err != nil {
			t.Fatal(err)
		}
		if got := isPlaintext(u); got != want {
			t.Errorf("%s is exposed: %v, want %v", endpoint, got, want)
		}
	}
}

// TestWhatIsSigned holds what is said of a body's signature against where it goes, and how large it is.
func TestWhatIsSigned(t *testing.T) {
	t.Parallel()
	small, large := remotetest.Bytes(smallBody), remotetest.Bytes(smallBody+1)
	sum := sha256.Sum256(small)
	whole := remotetest.Bytes(smallBody / 4) // one part
	sumWhole := sha256.Sum256(whole)
	const streamed = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
	for name, test := range map[string]struct {
		data               []byte
		elsewhere, inParts bool
		want               string
	}{
		"small":            {data: small, want: hex.EncodeToString(sum[:])},
		"large":            {data: large, want: streamed},
		"parts":            {data: large, inParts: true, want: "UNSIGNED-PAYLOAD"},
		"small, elsewhere": {data: small, elsewhere: true, want: hex.EncodeToString(sum[:])},
		"large, elsewhere": {data: large, elsewhere: true, want: streamed},
		"parts, elsewhere": {data: whole, elsewhere: true, inParts: true, want: hex.EncodeToString(sumWhole[:])},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			parts := &partServer{t: t, parts: map[int][]byte{}}
			signed := make(chan string, 100)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch {
				case r.Method == http.MethodPut:
					signed <- r.Header.Get("X-Amz-Content-Sha256")
				case !test.inParts:
					t.Errorf("a request that should not be: %s %s", r.Method, r.URL)
				}
				if test.inParts {
					parts.ServeHTTP(w, r)
					return
				}
				w.WriteHeader(http.StatusBadRequest) // it is the request that is looked at
			}))
			t.Cleanup(server.Close)
			opts := valid()
			opts.Endpoint = server.URL
			if test.elsewhere {
				opts.Endpoint, opts.Proxies.HTTP = "http://s3.example", server.URL
			}
			opts.sizes = sizes{partsAbove: smallBody * 2}
			if test.inParts {
				opts.sizes = sizes{partsAbove: 1, minPart: smallBody / 4, digestUpTo: 1}
			}
			store := mustNew(t, opts)
			if _, err := put(t, store, test.data); (err == nil) != test.inParts {
				t.Errorf("put: %v", err)
			}
			close(signed)
			if len(signed) == 0 {
				t.Error("nothing was put")
			}
			for got := range signed {
				if got != test.want {
					t.Errorf("the body's signature is %q, want %q", got, test.want)
				}
			}
		})
	}
}
