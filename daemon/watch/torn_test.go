package watch

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/internal/wait"
)

// Whoever reads a version to its end and finds it unchanged has read one version whole, however the file is rewritten
// meanwhile: in place, with the same size, and with its modification time restored.
func TestAVersionThatWasReadIsWhole(t *testing.T) {
	t.Parallel()
	needLeases(t)
	e := newEnv(t)
	const size = 64 << 10
	path := codestory.Path(storyA + "/audio/story.mp3")
	file := e.path(string(path))
	mkdir(t, filepath.Dir(file))
	write(t, file, string(bytes.Repeat([]byte{'a'}, size)))
	at := time.Now().Add(-time.Hour)

	ctx, stop := context.WithCancel(t.Context())
	var writer sync.WaitGroup
	defer writer.Wait()
	defer stop()
	writer.Go(func() {
		for fill := byte('b'); ctx.Err() == nil; fill = 'a' + (fill-'a'+1)%26 {
			if err := rewrite(file, bytes.Repeat([]byte{fill}, size), at); err != nil {
				t.Error(err)
				return
			}
			if fill%5 == 0 {
				wait.Sleep(ctx, time.Millisecond)
			}
		}
	})
	whole, changed := 0, 0
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end) || whole+changed < 100; {
		v, err := e.tree.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		content, err := readVersion(t.Context(), e.tree, path, v)
		switch {
		case errors.Is(err, codestory.ErrChanged):
			changed++
		case err != nil:
			t.Fatal(err)
		case len(content) != size || bytes.Count(content, content[:1]) != size:
			t.Fatalf("after %d whole versions one of %d bytes has %d that are %q", whole, len(content),
				bytes.Count(content, content[:1]), content[:1])
		default:
			whole++
		}
	}
	if changed == 0 {
		t.Errorf("of %d versions none was changed while it was read", whole)
	}
}

// rewrite writes the file in place, in two pieces.
func rewrite(file string, content []byte, at time.Time) error {
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err1 := f.Write(content[:len(content)/2])
	_, err2 := f.Write(content[len(content)/2:])
	return errors.Join(err1, err2, f.Close(), os.Chtimes(file, at, at))
}

func readVersion(ctx context.Context, tree *Tree, path codestory.Path, v codestory.Version) ([]byte, error) {
	f, err := tree.OpenVersion(ctx, path, v)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(f)
	return content, errors.Join(err, f.Check())
}

func TestOpenVersionRefusesWhatIsOpenForWriting(t *testing.T) {
	t.Parallel()
	needLeases(t)
	e := newEnv(t)
	path := codestory.Path(storyA + "/audio/story.mp3")
	e.write(string(path), "x")
	v, err := e.tree.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(e.path(string(path)), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := readVersion(t.Context(), e.tree, path, v); !errors.Is(err, codestory.ErrChanged) {
		t.Errorf("with a writer: %v, want ErrChanged", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if content, err := readVersion(t.Context(), e.tree, path, v); err != nil || string(content) != "x" {
		t.Errorf("without one: %q, %v", content, err)
	}
	v.Size++
	if _, err := readVersion(t.Context(), e.tree, path, v); !errors.Is(err, codestory.ErrChanged) {
		t.Errorf("another version: %v, want ErrChanged", err)
	}
}

func TestAwaitTick(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for _, stamp := range []int64{0, now.Add(-time.Hour).UnixNano(), now.Add(time.Hour).UnixNano(), stampNow()} {
		if !awaitTick(t.Context(), stamp) {
			t.Errorf("awaitTick(%d) = false", stamp)
		}
	}
	stamp := stampNow()
	awaitTick(t.Context(), stamp)
	if next := stampNow(); next <= stamp {
		t.Errorf("a file would still be stamped %d, as before", next)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if awaitTick(ended, stampNow()) {
		t.Error("with a context that has ended: true")
	}
}
