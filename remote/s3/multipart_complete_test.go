package s3

import (
	"crypto/md5"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"sync"
	"testing"

	"github.com/minio/minio-go/v7"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/remote/remotetest"
)

// breaking is a proxy that drops the connection instead of handing on the answer to some requests; those that it
// holds back do not get to the server either.
type breaking struct {
	url string

	mu       sync.Mutex
	drop     func(r *http.Request) bool
	hold     func(r *http.Request) bool
	requests []string
}

func newBreaking(t *testing.T, target string) *breaking {
	t.Helper()
	to, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	never := func(*http.Request) bool { return false }
	b := &breaking{drop: never, hold: never}
	transport := &http.Transport{DisableCompression: true}
	forward := &httputil.ReverseProxy{Transport: transport, Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = to.Scheme, to.Host, r.In.Host
	}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.mu.Lock()
		b.requests = append(b.requests, r.Method+" "+r.URL.RequestURI())
		drop, hold := b.drop(r), b.hold(r)
		b.mu.Unlock()
		if hold {
			panic(http.ErrAbortHandler)
		}
		if drop {
			forward.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		}
		forward.ServeHTTP(w, r)
	}))
	b.url = server.URL
	t.Cleanup(func() {
		server.Close()
		transport.CloseIdleConnections()
	})
	return b
}

func (b *breaking) set(drop, hold func(r *http.Request) bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.drop, b.hold = drop, hold
}

func (b *breaking) counts() map[string]int {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer func() { b.requests = nil }()
	return countRequests(b.requests)
}

func isComplete(r *http.Request) bool { return r.Method == "POST" && r.URL.Query().Has("uploadId") }
func isHead(r *http.Request) bool     { return r.Method == "HEAD" }
func never(*http.Request) bool        { return false }

func completeUnanswered(t *testing.T, s *scene) {
	data := remotetest.Bytes(3*testPart + 9)
	proxy := newBreaking(t, s.server.Endpoint)
	store := open(t, s.server, s.bucket, func(o *Options) {
		inParts(o)
		o.Endpoint = proxy.url
	})
	remove := func() {
		if err := s.server.Client().RemoveObject(t.Context(), s.bucket, key, minio.RemoveObjectOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("but done", func(t *testing.T) {
		proxy.set(isComplete, never)
		object, err := putLedger(t.Context(), t, store, remotetest.NewSource(data), &ledger{})
		if err != nil || object.ETag != etagOf(data) {
			t.Errorf("put: %+v, %v, want it found done", object, err)
		}
		wantCounts(t, proxy.counts(), map[string]int{"create": 1, "part": 4, "complete": 1, "HEAD": 1, "abort": 1})
		s.wantObject(t, data)
		s.wantOpen(t)
	})
	t.Run("but done, and then nothing", func(t *testing.T) {
		remove()
		proxy.set(isComplete, isHead)
		l := &ledger{}
		_, err := putLedger(t.Context(), t, store, remotetest.NewSource(data), l)
		if err == nil || codestory.ClassOf(t.Context(), err) != codestory.ClassRetry {
			t.Errorf("put: %v, want an error to try again", err)
		}
		proxy.counts()
		proxy.set(never, never)
		object, err := putLedger(t.Context(), t, store, remotetest.NewSource(data), l)
		if err != nil || object.ETag != etagOf(data) {
			t.Errorf("put again: %+v, %v, want it found done", object, err)
		}
		wantCounts(t, proxy.counts(), map[string]int{"list": 1, "HEAD": 1})
		s.wantObject(t, data)
		s.wantOpen(t)
	})
	t.Run("and not done", func(t *testing.T) {
		remove()
		proxy.set(never, isComplete)
		l := &ledger{}
		_, err := putLedger(t.Context(), t, store, remotetest.NewSource(data), l)
		if err == nil || codestory.ClassOf(t.Context(), err) != codestory.ClassRetry {
			t.Errorf("put: %v, want an error to try again", err)
		}
		wantCounts(t, proxy.counts(), map[string]int{"create": 1, "part": 4, "complete": 1, "HEAD": 1})
		proxy.set(never, never)
		if _, err := putLedger(t.Context(), t, store, remotetest.NewSource(data), l); err != nil {
			t.Error(err)
		}
		wantCounts(t, proxy.counts(), map[string]int{"list": 1, "HEAD": 1, "complete": 1})
		s.wantObject(t, data)
		s.wantOpen(t)
	})
	t.Run("and not done, with the same bytes there before", func(t *testing.T) {
		proxy.set(never, isComplete)
		if _, err := putLedger(t.Context(), t, store, remotetest.NewSource(data), &ledger{}); err != nil {
			t.Error(err)
		}
		wantCounts(t, proxy.counts(), map[string]int{"create": 1, "part": 4, "complete": 1, "HEAD": 1, "abort": 1})
		s.wantObject(t, data)
		s.wantOpen(t)
	})
}

// TestEncryptedBucketInParts has ETags that are no MD5s, nor made of any.
func TestEncryptedBucketInParts(t *testing.T) {
	t.Parallel()
	server := remotetest.StartMinIO(t, remotetest.MinIOOptions{Env: []string{
		"MINIO_KMS_SECRET_KEY=test:" + "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
	}})
	s := newScene(t, server)
	if err := server.Client().SetBucketEncryption(t.Context(), s.bucket, kmsEncryption()); err != nil {
		t.Fatal(err)
	}
	data := remotetest.Bytes(3*testPart + 1)
	digest := md5.Sum(data)
	sum := hex.EncodeToString(digest[:])
	l := &ledger{}
	cutAfter(t, s.open(t, inPartsReadAhead), data, l, 2)
	if !slices.ContainsFunc(l.upload(t, len(data)).Parts, func(p sentPart) bool { return p.ETag != p.MD5 }) {
		t.Fatal("the ETags are MD5s: this server does not show what the test is about")
	}
	s.anew(t)
	store := s.open(t, inPartsReadAhead)
	object, err := putLedger(t.Context(), t, store, remotetest.NewSource(data), l)
	if err != nil {
		t.Fatal(err)
	}
	wantCounts(t, s.counts(), map[string]int{"list": 1, "part": 2, "complete": 1, "GET": 1})
	if object.MD5 != sum || object.ETag == etagOf(data) {
		t.Errorf("put: %+v, want the MD5 %s and an ETag that is not made of MD5s", object, sum)
	}
	if stat, err := store.Stat(t.Context(), key); err != nil || stat.MD5 != sum {
		t.Errorf("stat: %+v, %v, want the MD5 %s", stat, err, sum)
	}
	s.wantObject(t, data)

	// The same with an answer to Complete that is lost.
	proxy := newBreaking(t, server.Endpoint)
	proxy.set(isComplete, never)
	store = open(t, server, s.bucket, func(o *Options) {
		inPartsReadAhead(o)
		o.Endpoint = proxy.url
	})
	if _, err := putLedger(t.Context(), t, store, remotetest.NewSource(data), &ledger{}); err != nil {
		t.Errorf("put: %v, want it found done", err)
	}
	if got := proxy.counts(); got["complete"] != 1 || got["HEAD"] != 1 || got["GET"] != 1 {
		t.Errorf("the server got %v", got)
	}
	s.wantOpen(t)
}
