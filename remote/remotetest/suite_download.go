package remotetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/remote"
)

var errCut = errors.New("the test cuts the connection")

// cut is a store whose objects break off while they are read.
type cut struct {
	remote.Store
	after  int64   // bytes of each read; -1 for never
	opened []int64 // the offsets that were asked for
	before func()  // each time, before the object is opened; nil for nothing
}

func (c *cut) note(offset int64) {
	c.opened = append(c.opened, offset)
	if c.before != nil {
		c.before()
	}
}

func (c *cut) cut(body io.ReadCloser) io.ReadCloser {
	if c.after < 0 {
		return body
	}
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(io.LimitReader(body, c.after), iotest.ErrReader(errCut)), body}
}

func (c *cut) Open(ctx context.Context, key string, offset, length int64) (io.ReadCloser, remote.Object, error) {
	c.note(offset)
	body, object, err := c.Store.Open(ctx, key, offset, length)
	if err != nil {
		return nil, object, err
	}
	return c.cut(body), object, nil
}

// cutting puts a cut in front of a store.
func cutting(store remote.Store, after int64) (*cut, remote.Store) {
	c := &cut{Store: store, after: after}
	return c, c
}

// fileIs checks that the file has exactly data, and that it is alone in its directory.
func fileIs(t *testing.T, path string, data []byte) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("the file has %d bytes, %v, want the %d of the object", len(got), err, len(data))
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("beside it there are %v, %v", entries, err)
	}
}

func (s suite) download(t *testing.T, store remote.Store) {
	key := story + "audio/story.mp3"
	path := filepath.Join(t.TempDir(), "not yet", "made", "story.mp3")
	for _, size := range []int{0, 1, 300_000, large, 10} {
		data := Bytes(size)
		mustPut(t, store, key, data)
		object, err := remote.Download(t.Context(), store, key, path, remote.DownloadOptions{})
		if err != nil || object.Size != int64(size) || object.Key != key {
			t.Fatalf("download: %+v, %v, want %d bytes", object, err, size)
		}
		fileIs(t, path, data)
	}
	if object, err := store.Stat(t.Context(), key); err == nil && object.MD5 != "" {
		reads, counted := cutting(store, -1)
		if _, err := remote.Download(t.Context(), counted, key, path, remote.DownloadOptions{}); err != nil || len(reads.opened) > 0 {
			t.Errorf("again: %v, read from %v, want no read of what is there", err, reads.opened)
		}
	}
	long := filepath.Join(t.TempDir(), strings.Repeat("ü", 120)+".mp3") // nearly all that a name may have
	if _, err := remote.Download(t.Context(), store, key, long, remote.DownloadOptions{}); err != nil {
		t.Errorf("to a long name: %v", err)
	}
	fileIs(t, long, Bytes(10))
	absent := filepath.Join(t.TempDir(), "absent.mp3")
	if _, err := remote.Download(t.Context(), store, key+"x", absent, remote.DownloadOptions{}); !errors.Is(err, codestory.ErrNotFound) {
		t.Errorf("of what is absent: %v, want ErrNotFound", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := remote.Download(ctx, store, key, absent, remote.DownloadOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context: %v", err)
	}
	if _, err := os.Lstat(absent); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after that: %v, want no file", err)
	}
	if _, err := remote.Download(t.Context(), store, key, t.TempDir(), remote.DownloadOptions{}); err == nil {
		t.Error("a directory was replaced")
	}
}

func (s suite) resume(t *testing.T, store remote.Store) {
	key, data := story+"audio/story.mp3", Bytes(300_000)
	mustPut(t, store, key, data)
	object, err := store.Stat(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "story.mp3")
	interrupted := func(t *testing.T, want error) {
		t.Helper()
		_, breaking := cutting(store, 100_000)
		if _, err := remote.Download(t.Context(), breaking, key, path, remote.DownloadOptions{}); !errors.Is(err, want) {
			t.Fatalf("cut off: %v, want %q", err, want)
		}
	}
	finished := func(t *testing.T, from int64, data []byte) {
		t.Helper()
		reads, whole := cutting(store, -1)
		var arrived int64
		_, err := remote.Download(t.Context(), whole, key, path, remote.DownloadOptions{Progress: func(n int64) { arrived += n }})
		if err != nil || len(reads.opened) != 1 || reads.opened[0] != from || arrived != int64(len(data)) {
			t.Errorf("after that: %v, read from %v, progress of %d, want a read from %d and %d", err, reads.opened, arrived, from, len(data))
		}
		fileIs(t, path, data)
		os.Remove(path)
	}

	interrupted(t, errCut)
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("cut off: %v, want no file", err)
	}
	interrupted(t, errCut)
	finished(t, 200_000, data)

	if object.MD5 != "" { // damaged meanwhile: found out, and begun anew
		interrupted(t, errCut)
		parts, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".*.part"))
		if err != nil || len(parts) != 1 {
			t.Fatalf("cut off, it has left %v, %v", parts, err)
		}
		if err := os.WriteFile(parts[0], bytes.Repeat([]byte("x"), 250_000), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := remote.Download(t.Context(), store, key, path, remote.DownloadOptions{}); !errors.Is(err, remote.ErrDiffers) {
			t.Errorf("with a damaged part: %v, want ErrDiffers", err)
		}
		finished(t, 0, data)
	}

	interrupted(t, errCut) // another version by then
	data = bytes.Repeat([]byte("new"), 70_000)
	mustPut(t, store, key, data)
	finished(t, 0, data)

	reads, replaced := cutting(store, -1) // another version between the two requests of one download
	reads.before = func() { mustPut(t, store, key, []byte("newer")) }
	if _, err := remote.Download(t.Context(), replaced, key, path, remote.DownloadOptions{}); !errors.Is(err, remote.ErrReplaced) {
		t.Errorf("replaced in between: %v, want ErrReplaced", err)
	}
	finished(t, 0, []byte("newer"))
}
