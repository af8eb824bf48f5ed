package s3

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/codestory/codestoryd/remote/remotetest"
)

func TestExposed(t *testing.T) {
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
		if got := exposed(u); got != want {
			t.Errorf("%s is exposed: %v, want %v", endpoint, got, want)
		}
	}
}

// TestWhatIsSigned holds what is said of a body's signature against where it goes, and how large it is.
func TestWhatIsSigned(t *testing.T) {
	t.Parallel()
	small, large := remotetest.Bytes(smallBody), remotetest.Bytes(smallBody+1)
	sum := sha256.Sum256(small)
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
		"parts, elsewhere": {data: large, elsewhere: true, inParts: true, want: streamed},
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
				opts.sizes = sizes{partsAbove: 1, minPart: smallBody / 4, readAheadUpTo: 1}
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
