package s3

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/remote"
	"github.com/codestory/codestoryd/remote/remotetest"
)

// answering makes a store whose server is handler.
func answering(t *testing.T, handler http.HandlerFunc, change func(*Options)) *Store {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	opts := valid()
	opts.Endpoint = server.URL
	if change != nil {
		change(&opts)
	}
	return mustNew(t, opts) // whose connections end before the server's Close, which waits for them
}

// refusing answers everything with one error of S3.
func refusing(status int, code, header, value string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Amz-Request-Id", "4711")
		w.Header().Set("Content-Type", "application/xml")
		if header != "" {
			w.Header().Set(header, value)
		}
		w.WriteHeader(status)
		fmt.Fprintf(w, `<?xml version="1.0"?><Error><Code>%s</Code><Message>as the test wants</Message></Error>`, code)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	const (
		retry = codestory.ClassRetry
		pause = codestory.ClassPause
		block = codestory.ClassBlock
	)
	for _, c := range []struct {
		status int
		code   string
		class  codestory.Class
		state  codestory.RemoteState
		hint   string
	}{
		{403, "AccessDenied", pause, codestory.RemoteDenied, "policies"},
		{403, "InvalidAccessKeyId", pause, codestory.RemoteDenied, "AWS_ACCESS_KEY_ID"},
		{403, "SignatureDoesNotMatch", pause, codestory.RemoteDenied, "AWS_SECRET_ACCESS_KEY"},
		{400, "ExpiredToken", pause, codestory.RemoteDenied, "AWS_SESSION_TOKEN"},
		{400, "InvalidToken", pause, codestory.RemoteDenied, "AWS_SESSION_TOKEN"},
		{403, "InvalidTokenId", pause, codestory.RemoteDenied, "AWS_SESSION_TOKEN"},
		{400, "TokenRefreshRequired", pause, codestory.RemoteDenied, "AWS_SESSION_TOKEN"},
		{403, "AllAccessDisabled", pause, codestory.RemoteDenied, "ask"},
		{403, "AccountProblem", pause, codestory.RemoteDenied, "ask"},
		{400, "KMS.DisabledException", pause, codestory.RemoteDenied, "key"},
		{403, "SomethingNew", pause, codestory.RemoteDenied, "policies"},
		{401, "SomethingNew", pause, codestory.RemoteDenied, "policies"},
		{404, "NoSuchBucket", pause, codestory.RemoteMissing, "S3_CREATE_BUCKET=1"},
		{507, "XMinioStorageFull", pause, codestory.RemoteFull, "no room"},
		{400, "XMinioAdminBucketQuotaExceeded", pause, codestory.RemoteFull, "quota"},
		{403, "QuotaExceeded", pause, codestory.RemoteFull, "quota"},
		{507, "SomethingNew", pause, codestory.RemoteFull, "no room"},
		{301, "PermanentRedirect", pause, codestory.RemoteUnavailable, "AWS_REGION=eu-west-3"},
		{400, "AuthorizationHeaderMalformed", pause, codestory.RemoteUnavailable, "AWS_REGION=eu-west-3"},
		{400, "EntityTooLarge", block, "", "split"},
		{413, "SomethingNew", block, "", "split"},
		{400, "KeyTooLongError", block, "", "rename"},
		{400, "XMinioInvalidObjectName", block, "", "rename"},
		{409, "XMinioObjectExistsAsDirectory", block, "", "rename"},
		{400, "MetadataTooLarge", block, "", "metadata"},
		{503, "SlowDown", retry, "", ""},
		{503, "ServiceUnavailable", retry, "", ""},
		{500, "InternalError", retry, "", ""},
		{400, "RequestTimeout", retry, "", ""},
		{400, "BadDigest", retry, "", ""},
		{400, "IncompleteBody", retry, "", ""},
		{409, "OperationAborted", retry, "", ""},
		{429, "TooManyRequests", retry, "", ""},
		{418, "SomethingNew", retry, "", ""},
	} {
		t.Run(fmt.Sprintf("%d %s", c.status, c.code), func(t *testing.T) {
			t.Parallel()
			store := answering(t, refusing(c.status, c.code, "X-Amz-Bucket-Region", "eu-west-3"), nil)
			_, err := put(t, store, remotetest.Bytes(100))
			if class := codestory.ClassOf(t.Context(), err); class != c.class {
				t.Fatalf("put: class %v of %v, want %v", class, err, c.class)
			}
			if e, ok := errors.AsType[*codestory.Error](err); ok {
				if e.State != c.state || !strings.Contains(e.Hint, c.hint) || strings.ContainsAny(e.Hint, "%\n") {
					t.Errorf("put: %s, %q, want %s and a hint with %q", e.State, e.Hint, c.state, c.hint)
				}
			}
			for _, words := range []string{c.code, fmt.Sprint(c.status), "4711", "as the test wants"} {
				if !strings.Contains(err.Error(), words) {
					t.Errorf("put: %v does not say %q", err, words)
				}
			}
			err = store.Check(t.Context())
			if c.code == "AccessDenied" {
				if err != nil {
					t.Errorf("check: %v, want nil: it was an answer", err)
				}
				return
			}
			if e, ok := errors.AsType[*codestory.Error](err); !ok || c.class == retry && e.State != codestory.RemoteUnavailable ||
				c.class == pause && e.State != c.state {
				t.Errorf("check: %v, want a pause", err)
			}
		})
	}
}

func TestClockThatIsOff(t *testing.T) {
	t.Parallel()
	for off, words := range map[time.Duration][]string{
		time.Hour: {"3600 seconds behind", "3599 seconds behind"}, -20 * time.Minute: {"1200 seconds ahead", "1201 seconds ahead"},
	} {
		store := answering(t, func(w http.ResponseWriter, r *http.Request) {
			date := time.Now().Add(off).UTC().Format(http.TimeFormat)
			refusing(403, "RequestTimeTooSkewed", "Date", date)(w, r)
		}, nil)
		for _, err := range []error{store.Check(t.Context()), func() error { _, err := put(t, store, nil); return err }()} {
			e, ok := errors.AsType[*codestory.Error](err)
			if !ok || e.State != codestory.RemoteUnavailable ||
				!strings.Contains(e.Hint, words[0]) && !strings.Contains(e.Hint, words[1]) {
				t.Errorf("%v off: %v, want unavailable with %q", off, err, words)
			}
		}
	}
}

// TestNotAnS3Server is a network that wants a login, and whatever else may answer where S3 should.
func TestNotAnS3Server(t *testing.T) {
	t.Parallel()
	page := func(status int, contentType, header, value string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", contentType)
			if header != "" {
				w.Header().Set(header, value)
			}
			w.WriteHeader(status)
			_, _ = io.WriteString(w, "<html><body>Welcome! Please log in.</body></html>")
		}
	}
	for name, handler := range map[string]http.HandlerFunc{
		"a page":                 page(200, "text/html", "", ""),
		"a page with a charset":  page(200, "text/html; charset=utf-8", "", ""),
		"a page with an ETag":    page(200, "text/html", "ETag", `"5f-abc"`),
		"a page by another name": page(200, "text/plain", "Last-Modified", time.Now().UTC().Format(http.TimeFormat)),
		"a redirect":             page(302, "text/html", "Location", "https://login.example/"),
		"a bare redirect":        page(307, "", "Location", "https://login.example/"),
		"a page not found":       page(404, "text/html", "", ""),
		"a page forbidden":       page(403, "text/html", "", ""),
		"a proxy's login":        page(407, "text/html", "", ""),
		"a network's login":      page(511, "text/html", "", ""),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			var methods []string
			store := answering(t, func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				methods = append(methods, r.Method)
				mu.Unlock()
				_, _ = io.Copy(io.Discard, r.Body)
				handler(w, r)
			}, func(o *Options) { o.CreateBucket = true })
			wantPause(t, store.Check(t.Context()), codestory.RemoteUnavailable, store.Info().Endpoint)
			for _, size := range []int{0, 100, 5 << 20} {
				if object, err := put(t, store, remotetest.Bytes(size)); err == nil {
					t.Errorf("put of %d bytes: %+v", size, object)
				} else if codestory.ClassOf(t.Context(), err) == codestory.ClassBlock {
					t.Errorf("put of %d bytes blocks the item, which has no part in it: %v", size, err)
				}
			}
			if object, err := store.Stat(t.Context(), key); name != "a page with an ETag" && err == nil ||
				errors.Is(err, codestory.ErrNotFound) {
				t.Errorf("stat: %+v, %v", object, err)
			}
			body, _, err := store.Open(t.Context(), key, 5, -1)
			if err == nil {
				body.Close()
			}
			if err == nil || errors.Is(err, codestory.ErrNotFound) {
				t.Errorf("open: %v", err)
			}
			mu.Lock()
			defer mu.Unlock()
			for _, method := range methods {
				if method == http.MethodDelete || method == http.MethodPost {
					t.Errorf("a %s was sent", method)
				}
			}
		})
	}
}

// TestAnswerBeforeTheBody is a server that says yes without having read what it says yes to.
func TestAnswerBeforeTheBody(t *testing.T) {
	t.Parallel()
	data := remotetest.Bytes(8 << 20)
	digest := md5.Sum(data)
	store := answering(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Amz-Request-Id", "4711")
		w.Header().Set("ETag", hex.EncodeToString(digest[:]))
	}, nil)
	if object, err := put(t, store, data); err == nil {
		t.Errorf("got %+v", object)
	}
}

// TestDeniedBeforeTheBody: whoever is refused has not sent a large body for nothing.
func TestDeniedBeforeTheBody(t *testing.T) {
	t.Parallel()
	store := answering(t, refusing(403, "InvalidAccessKeyId", "", ""), nil)
	var mu sync.Mutex
	read := false
	src := remotetest.NewSource(remotetest.Bytes(64<<20)).OnReach(1, func() {
		mu.Lock()
		defer mu.Unlock()
		read = true
	})
	_, err := store.Put(t.Context(), key, src, remote.PutOptions{})
	wantPause(t, err, codestory.RemoteDenied, "AWS_ACCESS_KEY_ID")
	mu.Lock()
	defer mu.Unlock()
	if read {
		t.Error("the body was begun")
	}
}

func TestServerThatFallsSilent(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 100, 8 << 20} {
		released := make(chan struct{})
		store := answering(t, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.CopyN(io.Discard, r.Body, 10) // takes the beginning, and that was it
			<-released
		}, func(o *Options) { o.stall = 300 * time.Millisecond })
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		_, err := store.Put(ctx, key, remotetest.NewSource(remotetest.Bytes(size)), remote.PutOptions{})
		if !errors.Is(err, errStalled) || codestory.ClassOf(ctx, err) != codestory.ClassRetry {
			t.Errorf("%d bytes: %v, want a stall that is tried again", size, err)
		}
		cancel()
		close(released)
	}
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := listener.Addr().String()
	listener.Close()
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0) // it complains of the client
	secure.StartTLS()
	defer secure.Close()
	for endpoint, hint := range map[string]string{
		"http://" + nobody:  "cannot be reached",
		"https://" + nobody: "cannot be reached",
		strings.Replace(plain.URL, "http:", "https:", 1): "TLS",
		secure.URL: "certificate",
	} {
		opts := valid()
		opts.Endpoint = endpoint
		store, err := New(opts)
		if err != nil {
			t.Fatal(err)
		}
		wantPause(t, store.Check(t.Context()), codestory.RemoteUnavailable, hint)
		_, err = put(t, store, []byte("x"))
		wantPause(t, err, codestory.RemoteUnavailable, hint)
	}
}

func TestUnknownName(t *testing.T) {
	t.Parallel()
	err := &url.Error{Op: "Put", URL: "http://absent.invalid", Err: &net.OpError{
		Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "absent.invalid", IsNotFound: true},
	}}
	store := &Store{info: remote.Info{Endpoint: "http://absent.invalid"}}
	wantPause(t, store.fail(t.Context(), "put", err), codestory.RemoteUnavailable, "the name absent.invalid is not found")
}

func TestConnectionThatBreaks(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 100, 8 << 20} {
		store := answering(t, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.CopyN(io.Discard, r.Body, 10)
			panic(http.ErrAbortHandler)
		}, nil)
		_, err := put(t, store, remotetest.Bytes(size))
		if err == nil || codestory.ClassOf(t.Context(), err) != codestory.ClassRetry {
			t.Errorf("%d bytes: %v, want an error to try again", size, err)
		}
	}
}

// large is a source of more than S3 takes.
type large struct{ remote.Source }

func (large) Size() int64 { return 5<<40 + 1 }

func TestWhatS3DoesNotTake(t *testing.T) {
	t.Parallel()
	store := answering(t, func(http.ResponseWriter, *http.Request) { t.Error("a request was sent") }, nil)
	small := remotetest.NewSource([]byte("x"))
	for name, call := range map[string]func() error{
		"too large": func() error { _, err := store.Put(t.Context(), key, large{small}, remote.PutOptions{}); return err },
		"no name":   func() error { _, err := store.Put(t.Context(), "", small, remote.PutOptions{}); return err },
		"too long": func() error {
			_, err := store.Put(t.Context(), strings.Repeat("k", 1025), small, remote.PutOptions{})
			return err
		},
		"no UTF-8": func() error { _, err := store.Put(t.Context(), "a\xff", small, remote.PutOptions{}); return err },
	} {
		if err := call(); codestory.ClassOf(t.Context(), err) != codestory.ClassBlock {
			t.Errorf("%s: %v, want a block", name, err)
		}
	}
}
