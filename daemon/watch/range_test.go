package watch

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/codestory/codestoryd"
)

const playing = codestory.Path(storyA + "/audio/story.mp3")

// playable is a tree with one file of that content, and the file's name.
func playable(t *testing.T, content []byte) (*Tree, string) {
	t.Helper()
	tree := openTree(t)
	name := filepath.Join(tree.Dir(), filepath.FromSlash(string(playing)))
	mkdir(t, filepath.Dir(name))
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return tree, name
}

func openStable(t *testing.T, tree *Tree) *File {
	t.Helper()
	f, err := tree.OpenStable(t.Context(), playing)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// Whatever range is asked for, by however many, its bytes are those of the file.
func TestWriteRange(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it writes for seconds")
	}
	t.Parallel()
	content := make([]byte, 3<<20+12345)
	rng := rand.NewChaCha8([32]byte{1})
	_, _ = rng.Read(content)
	tree, _ := playable(t, content)
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			f := openStable(t, tree)
			random := rand.New(rand.NewPCG(uint64(i), 2))
			for range 50 {
				offset := random.Int64N(f.Size())
				length := 1 + random.Int64N(f.Size()-offset)
				var got bytes.Buffer
				n, err := f.WriteRange(&got, offset, length)
				if n != length || err != nil || !bytes.Equal(got.Bytes(), content[offset:offset+length]) {
					t.Errorf("%d from %d on: wrote %d, %v", length, offset, n, err)
				}
			}
		})
	}
	all.Wait()
}

// rewriter rewrites a file in place once so many bytes have passed.
type rewriter struct {
	got  bytes.Buffer
	at   int
	then func() error
}

func (w *rewriter) Write(p []byte) (int, error) {
	n, err := w.got.Write(p)
	if w.then != nil && w.got.Len() >= w.at {
		err = errors.Join(err, w.then())
		w.then = nil
	}
	return n, err
}

// A file that is rewritten in place gives the bytes of the version that it was begun with, as far as it goes.
func TestWriteRangeOfOneVersion(t *testing.T) {
	t.Parallel()
	for name, flags := range map[string]int{"in place": os.O_WRONLY, "truncated": os.O_WRONLY | os.O_TRUNC} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			old, changed := bytes.Repeat([]byte("a"), 5<<20), bytes.Repeat([]byte("b"), 5<<20)
			tree, path := playable(t, old)
			f := openStable(t, tree)
			w := &rewriter{at: 100, then: func() error {
				out, err := os.OpenFile(path, flags, 0)
				if err != nil {
					return err
				}
				_, err = out.Write(changed)
				return errors.Join(err, out.Close())
			}}
			n, err := f.WriteRange(w, 0, f.Size())
			if !errors.Is(err, codestory.ErrChanged) || n == 0 || n == f.Size() || bytes.ContainsRune(w.got.Bytes(), 'b') {
				t.Errorf("wrote %d bytes, %v, with the new ones among them: %v", n, err, bytes.ContainsRune(w.got.Bytes(), 'b'))
			}
			var got bytes.Buffer
			if _, err := openStable(t, tree).WriteRange(&got, 0, 5<<20); err != nil || !bytes.Equal(got.Bytes(), changed) {
				t.Errorf("the new version: %d bytes, %v", got.Len(), err)
			}
		})
	}
}
