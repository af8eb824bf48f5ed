package api_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/api"
)

// bodyLibrary is a library whose files have that body, which does not do well.
type bodyLibrary struct {
	*library
	body codestory.Body
}

func (l bodyLibrary) Open(context.Context, codestory.Path) (*codestory.Content, error) {
	return &codestory.Content{Body: l.body, Size: lateSize, ETag: "x"}, nil
}

func (l bodyLibrary) OpenHere(ctx context.Context, path codestory.Path) (*codestory.Content, error) {
	return l.Open(ctx, path)
}

const lateSize = 1 << 20

// lateBody panics in its middle.
type lateBody struct{ read int }

func (f *lateBody) Range(int64, int64) (io.Reader, error) { return f, nil }

func (f *lateBody) Read(b []byte) (int, error) {
	if f.read > lateSize/2 {
		panic("all is lost, late")
	}
	clear(b) // the buffer is a shared one, with somebody else's bytes in it
	f.read += len(b)
	return len(b), nil
}

func (f *lateBody) Close() error { return nil }

// closedBody cannot be read at all.
type closedBody struct{ lateBody }

func (f *closedBody) Range(int64, int64) (io.Reader, error) {
	return nil, errors.New("internals of reading")
}

func TestUnreadable(t *testing.T) {
	t.Parallel()
	w := newFakes(t, api.Options{})
	var log syncBuffer
	services := w.services()
	services.Library = bodyLibrary{w.lib, &closedBody{}}
	w.handler = api.New(services, api.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	resp := w.record("GET", w.playURL(codestory.StoryAudioPath(aliceStory)), "").Result()
	if p := wantProblem(t, resp, 500, "internal"); strings.Contains(p.Detail, "reading") || resp.Header.Get("ETag") != "" {
		t.Errorf("served: %+v, %v", p, resp.Header)
	}
	if !strings.Contains(log.String(), "internals of reading") {
		t.Errorf("log: %q", &log)
	}
}

// Without a public address links begin at the root of wherever the daemon was reached.
func TestNoPublicURL(t *testing.T) {
	t.Parallel()
	w := newFakes(t, api.Options{})
	w.handler = api.New(w.services(), api.Options{})
	link := decode[codestory.Link](t, w.record("GET", storyURL(homeStory, "/audio"), homeToken).Result())
	if !strings.HasPrefix(link.URL, "/play/") {
		t.Fatalf("link: %s", link.URL)
	}
	if got := w.record("GET", link.URL, "").Code; got != 200 {
		t.Errorf("the link answers %d", got)
	}
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}
