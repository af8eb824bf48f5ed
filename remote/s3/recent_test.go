package s3

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/codestory/codestoryd/remote"
)

// The same link is made once in a second, and anew in the next; another is another.
func TestLinksOfOneSecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, err := New(Options{Bucket: "bucket", Endpoint: "http://127.0.0.1:9", AccessKey: "key", SecretKey: "secret-key"})
		if err != nil {
			t.Fatal(err)
		}
		link := func(req remote.LinkRequest) string {
			t.Helper()
			l, err := s.Link(t.Context(), req)
			if err != nil || time.Until(l.Expires) > req.Expires || time.Until(l.Expires) < req.Expires-time.Second {
				t.Fatalf("%+v: %+v, %v", req, l, err)
			}
			return l.URL
		}
		req := remote.LinkRequest{Method: "GET", Key: "a", Expires: time.Minute}
		first := link(req)
		if again := link(req); again != first {
			t.Errorf("in the same second: %s and %s", first, again)
		}
		for _, other := range []remote.LinkRequest{
			{Method: "HEAD", Key: "a", Expires: time.Minute}, {Method: "GET", Key: "b", Expires: time.Minute},
			{Method: "GET", Key: "a", Expires: time.Hour}, {Method: "GET", Key: "a", Expires: time.Minute, ContentType: "x/y"},
		} {
			if link(other) == first {
				t.Errorf("%+v has the link of another", other)
			}
		}
		time.Sleep(time.Second)
		if link(req) == first {
			t.Error("a second later it is the old link still")
		}
	})
}
