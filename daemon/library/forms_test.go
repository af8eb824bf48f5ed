package library

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/queue"
)

// TestFormIsGoodForOneFile: the second post is refused, also by the daemon that starts next, and another form of the same
// path is not.
func TestFormIsGoodForOneFile(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := &scripted{}
		w := newEnv(t, store, Options{Spool: t.TempDir()})
		w.upload(time.Second)
		path, expires := codestory.StoryAudioPath(kilo), time.Now().Add(time.Hour)
		receive := func(expires time.Time, content string, want error) {
			t.Helper()
			if err := w.Receive(t.Context(), path, expires, strings.NewReader(content)); !errors.Is(err, want) {
				t.Errorf("%q: %v, want %v", content, err, want)
			}
		}
		broken := errors.New("cut off")
		if err := w.Receive(t.Context(), path, expires, io.MultiReader(strings.NewReader("half"), failing{broken})); err != broken {
			t.Errorf("a reader that fails: %v", err)
		}
		receive(expires, "first", nil)
		receive(expires, "second", codestory.ErrFormUsed)
		receive(expires.Add(time.Nanosecond), "another form's", nil)
		if err := w.queue.Close(); err != nil {
			t.Fatal(err)
		}
		q, err := queue.Open(w.file, store.Info().Destination(), queue.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer q.Close()
		w.build(q)
		receive(expires, "third", codestory.ErrFormUsed)
		if object, _ := store.Content(path.Key()); object != "another form's" {
			t.Errorf("stored is %q", object)
		}
	})
}

// TestOnePostAtATime: while a form brings a file for a path no other one is read.
func TestOnePostAtATime(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newEnv(t, &scripted{}, Options{Spool: t.TempDir()})
		w.upload(time.Second)
		path, other := codestory.StoryAudioPath(kilo), codestory.StoryAudioPath(router)
		r, slow := io.Pipe()
		first := make(chan error, 1)
		expires := time.Now().Add(time.Hour)
		go func() { first <- w.Receive(t.Context(), path, expires, r) }()
		if _, err := io.WriteString(slow, "slow"); err != nil { // it is being read
			t.Fatal(err)
		}
		unread := failing{errors.New("it was read")}
		if err := w.Receive(t.Context(), path, expires.Add(1), unread); !errors.Is(err, codestory.ErrFormBusy) {
			t.Errorf("a second post: %v", err)
		}
		if err := w.Receive(t.Context(), other, expires, strings.NewReader("sound")); err != nil {
			t.Errorf("to another path: %v", err)
		}
		slow.Close()
		if err := <-first; err != nil {
			t.Error(err)
		}
		if err := w.Receive(t.Context(), path, expires.Add(1), strings.NewReader("after")); err != nil {
			t.Errorf("after it: %v", err)
		}
	})
}

// TestSpool: what is spooled can be read as it came, leaves no name behind, and leaves room on the disk.
func TestSpool(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	data := bytes.Repeat([]byte("sound"), 200_000)
	src, err := spool(dir, bytes.NewReader(data), 1)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(io.NewSectionReader(src, 0, src.Size()))
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if err := src.Close(); err != nil {
		t.Error(err)
	}
	// As if the disk were small: no disk has room for that many copies.
	if _, err := spool(dir, bytes.NewReader(data), 1<<40); !errors.Is(err, codestory.ErrDiskFull) {
		t.Errorf("on a disk without room: %v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("there is left %v, %v", left, err)
	}
}
