package s3

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
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

func TestGuard(t *testing.T) {
	t.Parallel()
	body := &fragile{t: t, Reader: *strings.NewReader(strings.Repeat("x", 100_000))}
	g := &guard{ctx: t.Context(), body: body}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 100 {
				if _, err := g.Read(make([]byte, 10)); err != nil && !errors.Is(err, http.ErrBodyReadAfterClose) {
					t.Errorf("read: %v", err)
				}
			}
			if err := g.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		})
	}
	wg.Wait()
	if _, err := io.ReadAll(g); !errors.Is(err, http.ErrBodyReadAfterClose) {
		t.Errorf("read after close: %v", err)
	}
	if !body.closed {
		t.Error("the body was not closed")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	g = &guard{ctx: ctx, body: io.NopCloser(strings.NewReader("x"))}
	if n, err := g.Read(make([]byte, 1)); n != 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("read under an ended context: %d, %v", n, err)
	}
}
