package library

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/remote"
)

// moody is a store that answers questions about objects as its script says.
type moody struct {
	scripted
	stat  func() error                       // nil is well
	open  func(io.Reader) (io.Reader, error) // nil is well
	asked []string                           // of Open: offset+length
}

func (s *moody) Stat(ctx context.Context, key string) (remote.Object, error) {
	if s.stat != nil {
		if err := s.stat(); err != nil {
			return remote.Object{}, err
		}
	}
	return s.scripted.Stat(ctx, key)
}

func (s *moody) Open(ctx context.Context, key string, offset, length int64) (io.ReadCloser, remote.Object, error) {
	s.asked = append(s.asked, fmt.Sprintf("%d+%d", offset, length))
	body, object, err := s.scripted.Open(ctx, key, offset, length)
	if err != nil || s.open == nil {
		return body, object, err
	}
	r, err := s.open(body)
	return io.NopCloser(r), object, err
}

// once fails the first time.
func once(err error) func() error {
	return func() error {
		defer func() { err = nil }()
		return err
	}
}

const farKey = codestory.KeyPrefix + string(kilo) + "/audio/story.mp3"

// read reads a range of a stored object as a player does that goes through the daemon.
func (s *moody) read(t *testing.T, offset, length int64) (string, error) {
	t.Helper()
	c, err := objectContent(t.Context(), s, codestory.StoryAudioPath(kilo))
	if err != nil {
		return "", err
	}
	defer func() { _ = c.Close() }()
	r, err := c.Range(offset, length)
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(r)
	return string(b), err
}

func TestProxyAsksForTheRangeAlone(t *testing.T) {
	t.Parallel()
	s := &moody{}
	s.Set(farKey, "0123456789")
	if got, err := s.read(t, 3, 4); got != "3456" || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
	if !slices.Equal(s.asked, []string{"3+4"}) {
		t.Errorf("asked for %q", s.asked)
	}
}

// A store that refuses is asked once more, with a new request, before the player hears of it.
func TestProxyAsksARefusingStoreOnceMore(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		stat, open func() error
		want       string
	}{
		"the question is refused once": {once(errDenied), nil, "0123456789"},
		"the bytes are refused once":   {nil, once(errDenied), "0123456789"},
		"both are":                     {once(errDenied), once(errDenied), "0123456789"},
		"the question always":          {func() error { return errDenied }, nil, ""},
		"the bytes always":             {nil, func() error { return errDenied }, ""},
	} {
		s := &moody{stat: c.stat}
		if c.open != nil {
			s.open = func(r io.Reader) (io.Reader, error) { return r, c.open() }
		}
		s.Set(farKey, "0123456789")
		got, err := s.read(t, 0, 10)
		if got != c.want || (err != nil) != (c.want == "") {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
		if len(s.asked) > 2 {
			t.Errorf("%s: asked %d times", name, len(s.asked))
		}
	}
}

// An answer that breaks off is gone on with where it broke; one that does not get on ends.
func TestProxyGoesOnWhereTheStoreBrokeOff(t *testing.T) {
	t.Parallel()
	data := strings.Repeat("0123456789", 100)
	for name, breakOff := range map[string]func(io.Reader) io.Reader{
		"an error": func(r io.Reader) io.Reader {
			return io.MultiReader(io.LimitReader(r, 300), iotest.ErrReader(errors.New("reset")))
		},
		"an early end": func(r io.Reader) io.Reader { return io.LimitReader(r, 300) },
	} {
		s := &moody{open: func(r io.Reader) (io.Reader, error) { return breakOff(r), nil }}
		s.Set(farKey, data)
		if got, err := s.read(t, 100, 800); got != data[100:900] || err != nil {
			t.Errorf("%s: read %d bytes, %v", name, len(got), err)
		}
		if want := []string{"100+800", "400+500", "700+200"}; !slices.Equal(s.asked, want) {
			t.Errorf("%s: asked for %q, want %q", name, s.asked, want)
		}
	}
	s := &moody{open: func(io.Reader) (io.Reader, error) { return strings.NewReader(""), nil }}
	s.Set(farKey, data)
	got, err := s.read(t, 0, 10)
	if got != "" || !errors.Is(err, io.ErrUnexpectedEOF) || !errors.Is(err, codestory.ErrUnavailable) || len(s.asked) != 2 {
		t.Errorf("a store that gives nothing: read %q, %v, asked %q", got, err, s.asked)
	}
}

// An object that is replaced while it plays ends the answer: it never goes on with the bytes of the new one.
func TestProxyNeverMixesVersions(t *testing.T) {
	t.Parallel()
	s := &moody{}
	s.Set(farKey, strings.Repeat("a", 1000))
	s.open = func(r io.Reader) (io.Reader, error) {
		s.Set(farKey, strings.Repeat("b", 1000))
		return io.LimitReader(r, 300), nil
	}
	got, err := s.read(t, 0, 1000)
	if got != strings.Repeat("a", 300) || !errors.Is(err, codestory.ErrChanged) {
		t.Errorf("read %d bytes %.1q…, %v", len(got), got, err)
	}
}

// A file here that is written to in place while it plays ends the answer; one whose name goes to another plays on.
func TestLocalFileNeverMixesVersions(t *testing.T) {
	t.Parallel()
	old, changed := bytes.Repeat([]byte("a"), 1000), bytes.Repeat([]byte("b"), 1000)
	for name, c := range map[string]struct {
		replace func(t *testing.T, name string) error
		want    string
	}{
		"written in place": {func(_ *testing.T, name string) error { return os.WriteFile(name, changed, 0) }, ""},
		"cut short":        {func(_ *testing.T, name string) error { return os.Truncate(name, 700) }, ""},
		"removed":          {func(_ *testing.T, name string) error { return os.Remove(name) }, string(old[300:])},
		"replaced": {func(t *testing.T, name string) error {
			other := filepath.Join(t.TempDir(), "new")
			return errors.Join(os.WriteFile(other, changed, 0o600), os.Rename(other, name))
		}, string(old[300:])},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newEnv(t, &scripted{}, Options{})
			path := codestory.StoryAudioPath(kilo)
			w.write(path, string(old))
			content, err := w.Open(t.Context(), path)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = content.Close() }()
			r, err := content.Range(0, content.Size)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(r, make([]byte, 300)); err != nil {
				t.Fatal(err)
			}
			if err := c.replace(t, filepath.Join(w.tree.Dir(), string(path))); err != nil {
				t.Fatal(err)
			}
			rest, err := io.ReadAll(r)
			if string(rest) != c.want || (c.want == "") != errors.Is(err, codestory.ErrChanged) {
				t.Errorf("read %q, %v", rest, err)
			}
		})
	}
}
