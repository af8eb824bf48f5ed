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

// lateLibrary is a library whose files panic in their middle.
type lateLibrary struct{ *library }

func (l lateLibrary) Open(context.Context, codestory.Path) (*codestory.Content, error) {
	return &codestory.Content{ReadSeekCloser: &lateFile{}, Size: lateSize}, nil
}

const lateSize = 1 << 20

type lateFile struct{ read int }

func (f *lateFile) Read(b []byte) (int, error) {
	if f.read > lateSize/2 {
		panic("all is lost, late")
	}
	clear(b) // the buffer is a shared one, with somebody else's bytes in it
	f.read += len(b)
	return len(b), nil
}

func (f *lateFile) Seek(offset int64, whence int) (int64, error) {
	if whence == io.SeekEnd {
		return lateSize + offset, nil
	}
	return offset, nil
}

func (f *lateFile) Close() error { return nil }

// unseekable is a file that does not even tell its size.
type unseekable struct{ lateFile }

func (f *unseekable) Seek(int64, int) (int64, error) { return 0, errors.New("internals of seeking") }

// unseekableLibrary is a library of such files.
type unseekableLibrary struct{ *library }

func (l unseekableLibrary) Open(context.Context, codestory.Path) (*codestory.Content, error) {
	return &codestory.Content{ReadSeekCloser: &unseekable{}, Size: lateSize, ETag: "x"}, nil
}

func TestUnseekable(t *testing.T) {
	t.Parallel()
	w := newFakes(t, api.Options{})
	var log syncBuffer
	services := w.services()
	services.Library = unseekableLibrary{w.lib}
	w.handler = api.New(services, api.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	resp := w.record("GET", w.playURL(codestory.StoryAudioPath(aliceStory)), "").Result()
	if p := wantProblem(t, resp, 500, "internal"); strings.Contains(p.Detail, "seek") || resp.Header.Get("ETag") != "" {
		t.Errorf("served: %+v, %v", p, resp.Header)
	}
	if !strings.Contains(log.String(), "seek") {
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
