package s3

import (
	"crypto/md5"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/codestory/codestoryd/remote"
	"github.com/codestory/codestoryd/remote/remotetest"
)

// TestUnanswered tells the uploads that a server may still be at work on from those that it is done with.
func TestUnanswered(t *testing.T) {
	t.Parallel()
	data := remotetest.Bytes(1000)
	digest := md5.Sum(data)
	want := hex.EncodeToString(digest[:])
	reads := func(answer http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			answer(w, r)
		}
	}
	hangsUp := func(w http.ResponseWriter, _ *http.Request) {
		if c, _, err := w.(http.Hijacker).Hijack(); err == nil {
			_ = c.Close()
		}
	}
	for _, c := range []struct {
		name   string
		server http.HandlerFunc
		want   bool
	}{
		{"silence", reads(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }), true},
		{"a connection that ends", reads(hangsUp), true},
		{"a proxy that did not want to wait", reads(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusGatewayTimeout) }), true},
		{"an error of the server", reads(refusing(500, "InternalError", "", "")), true},
		{"too many requests", reads(refusing(503, "SlowDown", "", "")), false},
		{"a refusal", reads(refusing(403, "AccessDenied", "", "")), false},
		{"no room", reads(refusing(507, "XMinioStorageFull", "", "")), false},
		{"a login page", reads(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, "<html>")
		}), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			store := answering(t, c.server, func(o *Options) { o.stall = 300 * time.Millisecond })
			_, err := put(t, store, data)
			u, ok := errors.AsType[*remote.UnansweredError](err)
			if err == nil || ok != c.want {
				t.Fatalf("put: %v, unanswered %v, want %v", err, ok, c.want)
			}
			if ok && u.ETag != want {
				t.Errorf("ETag %s, want %s", u.ETag, want)
			}
		})
	}
}

// While nothing is answered it is told, so that it can be written down.
func TestSilenceIsTold(t *testing.T) {
	t.Parallel()
	data := remotetest.Bytes(1000)
	digest := md5.Sum(data)
	told := make(chan string, 1)
	store := answering(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		select { // answers once it was told
		case etag := <-told:
			w.Header().Set("Etag", `"`+etag+`"`)
		case <-r.Context().Done():
		}
	}, nil)
	store.silence = 50 * time.Millisecond
	object, err := store.Put(t.Context(), key, remotetest.NewSource(data), remote.PutOptions{Silent: func(etag string) { told <- etag }})
	if err != nil || object.ETag != hex.EncodeToString(digest[:]) {
		t.Errorf("put: %+v, %v", object, err)
	}
}

// What never left this machine cannot arrive later.
func TestNothingSentIsNotUnanswered(t *testing.T) {
	t.Parallel()
	opts := valid()
	opts.Endpoint = "http://127.0.0.1:1"
	_, err := put(t, mustNew(t, opts), remotetest.Bytes(1000))
	if _, ok := errors.AsType[*remote.UnansweredError](err); ok || err == nil {
		t.Errorf("put: %v", err)
	}
}
