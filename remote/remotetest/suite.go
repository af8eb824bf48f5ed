// Package remotetest is for tests only: the suite that every remote.Store passes, a source of bytes with scripted
// faults, and a real MinIO to start.
package remotetest

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/remote"
)

// Options say what a store cannot do, each with the reason. The zero value is a store that can do everything but
// show its user metadata.
type Options struct {
	NoLongKey     string // why a key of 1,024 bytes is too long
	NoContentType string // why Stat does not return the content type
	NoMetadata    string // why user metadata is not kept
	NoLargeMD5    string // why Put returns no MD5 of an object of more than 5 MiB
	NoIsolation   string // why a read may mix two versions while one replaces the other
	NoCopy        string // why objects cannot be copied, though the store has the method
	// Metadata reads the user metadata of an object, its names in lower case. Required unless NoMetadata says why
	// there is none.
	Metadata func(t *testing.T, store remote.Store, key string) map[string]string
}

const (
	story = codestory.KeyPrefix + "0f9619ff-8b86-4d01-b42d-00c04fc964ff/"
	mp3   = "audio/mpeg"
)

// large is more than any buffer or part on the way: 5 MiB is the smallest part of a multipart upload in S3.
const large = 5<<20 + 1

// TestStore holds a store against everything that remote.Store, and the other interfaces where it has them, promise.
// open is called once for each sub-test and returns a store that is empty; what it has to clean up it leaves to t.Cleanup.
func TestStore(t *testing.T, open func(t *testing.T) remote.Store, opts Options) {
	s := suite{opts}
	for _, sub := range []struct {
		name string
		test func(t *testing.T, store remote.Store)
	}{
		{"a put is there whole", s.roundTrip},
		{"any key is kept apart", s.keys},
		{"a key of 1,024 bytes is kept", s.longKey},
		{"content type and metadata are kept", s.attributes},
		{"a put replaces what is there", s.overwrite},
		{"an absent object is not found", s.absent},
		{"ranges are read", s.ranges},
		{"a faulty source stores nothing", s.faults},
		{"a stop in the middle stores nothing", s.stop},
		{"an ended context ends every call", s.endedContext},
		{"many keys are put at once", s.manyKeys},
		{"versions of one key never mix", s.oneKey},
		{"the store answers", s.check},
		{"a download is whole", s.download},
		{"a download goes on", s.resume},
		{"objects are deleted", s.remove},
		{"objects are listed", s.list},
		{"objects are copied", s.copy},
		{"links", s.links},
		{"forms", s.forms},
	} {
		t.Run(sub.name, func(t *testing.T) {
			t.Parallel()
			sub.test(t, open(t))
		})
	}
}

type suite struct{ opts Options }

func (s suite) roundTrip(t *testing.T, store remote.Store) {
	for name, size := range map[string]int{"0 B": 0, "1 B": 1, "64 KiB": 64 << 10, "5 MiB + 1 B": large} {
		t.Run(name, func(t *testing.T) {
			data := Bytes(size)
			key := story + name
			put := mustPut(t, store, key, data)
			want := sum(data)
			if size == large && s.opts.NoLargeMD5 != "" {
				want = ""
			}
			if put.Key != key || put.Size != int64(size) || put.MD5 != want {
				t.Errorf("put returned %+v, want %s of %d bytes with MD5 %q", put, key, size, want)
			}
			holds(t, store, key, data)
			stat, err := store.Stat(t.Context(), key)
			if err != nil {
				t.Fatal(err)
			}
			if stat.ETag != put.ETag || strings.Contains(stat.ETag, `"`) {
				t.Errorf("ETag %q after a put that returned %q", stat.ETag, put.ETag)
			}
			if !stat.Modified.IsZero() && time.Since(stat.Modified).Abs() > time.Hour {
				t.Errorf("modified %v, now is %v", stat.Modified, time.Now())
			}
		})
	}
}

// keys are names of files that a generator may write, each with a character that some layer treats specially.
var keys = []string{
	"with space", "two  spaces", "plus+plus", "100%", "100%25", "%2F", "(1)", "#1", "why?", "a&b=c", "semi;colon",
	"it's", `"quoted"`, "comma,comma", "dollar$", "at@", "star*", "[1]{2}", "back`tick", "pipe|pipe", "tilde~x",
	"colon:colon", "<angle>", "caret^", "under_score", "exclamation!", `back\slash`,
	"Größe é ñ", "日本語", "🎧", "عربى", "a.b..c", "no ending", "UPPER lower", "UPPER LOWER",
}

func (s suite) keys(t *testing.T, store remote.Store) {
	contents := map[string][]byte{}
	for _, name := range keys {
		for _, key := range []string{story + name + ".mp3", story + name + "/" + name} {
			contents[key] = []byte(key)
			mustPut(t, store, key, contents[key])
		}
	}
	for key, data := range contents {
		holds(t, store, key, data)
	}
}

func (s suite) longKey(t *testing.T, store remote.Store) {
	if s.opts.NoLongKey != "" {
		t.Skip(s.opts.NoLongKey)
	}
	// Elements of at most 255 bytes, because that is what a file system can hold.
	key := story + strings.Repeat(strings.Repeat("k", 199)+"/", 5)
	key = key[:codestory.MaxKeyBytes-len(".mp3")] + ".mp3"
	mustPut(t, store, key, []byte("a long way down"))
	holds(t, store, key, []byte("a long way down"))
}

func (s suite) attributes(t *testing.T, store remote.Store) {
	key := story + "audio/story.mp3"
	metadata := map[string]string{
		"codestory-version": "1", "codestory-mtime": "1700000000.123", "title": "Größe, in  m² — 日本", "sum": "a+b/c==",
	}
	put(t, store, key, NewSource(Bytes(10)), remote.PutOptions{ContentType: mp3, Metadata: metadata})
	t.Run("content type", func(t *testing.T) {
		if s.opts.NoContentType != "" {
			t.Skip(s.opts.NoContentType)
		}
		if object, err := store.Stat(t.Context(), key); err != nil || object.ContentType != mp3 {
			t.Errorf("stat: content type %q, %v, want %s", object.ContentType, err, mp3)
		}
		body, object, err := store.Open(t.Context(), key, 2, 3)
		if err != nil {
			t.Fatal(err)
		}
		defer body.Close()
		if object.ContentType != mp3 {
			t.Errorf("open: content type %q, want %s", object.ContentType, mp3)
		}
	})
	t.Run("metadata", func(t *testing.T) {
		if s.opts.NoMetadata != "" {
			t.Skip(s.opts.NoMetadata)
		}
		got := s.opts.Metadata(t, store, key)
		for name, want := range metadata {
			if got[name] != want {
				t.Errorf("metadata %s is %q, want %q", name, got[name], want)
			}
		}
	})
}

func (s suite) overwrite(t *testing.T, store remote.Store) {
	key := story + "audio/story.mp3"
	for _, size := range []int{1000, 1000, 10, 0, large, 1} {
		mustPut(t, store, key, Bytes(size))
		holds(t, store, key, Bytes(size))
	}
	for _, data := range []string{"a", "b"} { // other bytes of the same size
		mustPut(t, store, key, []byte(data))
		holds(t, store, key, []byte(data))
	}
}

func (s suite) absent(t *testing.T, store remote.Store) {
	mustPut(t, store, story+"audio/story.mp3", Bytes(10))
	for _, key := range []string{
		story + "absent", story + "audio", story + "audio/story.mp", story + "audio/story.mp3/more",
		"stories/11111111-1111-1111-1111-111111111111/metadata.json",
	} {
		if object, err := store.Stat(t.Context(), key); !errors.Is(err, codestory.ErrNotFound) {
			t.Errorf("stat %s: %+v, %v, want ErrNotFound", key, object, err)
		}
		body, _, err := store.Open(t.Context(), key, 0, -1)
		if !errors.Is(err, codestory.ErrNotFound) {
			t.Errorf("open %s: %v, want ErrNotFound", key, err)
		}
		if err == nil {
			body.Close()
		}
	}
}

func (s suite) ranges(t *testing.T, store remote.Store) {
	data := Bytes(100_000)
	key := story + "audio/story.mp3"
	mustPut(t, store, key, data)
	mustPut(t, store, key+".empty", nil)
	for _, r := range []struct{ offset, length, want int64 }{
		{0, -1, 100_000}, {0, 100_000, 100_000}, {0, 1, 1}, {99_999, 1, 1}, {12_345, 54_321, 54_321},
		{99_000, -1, 1000}, {0, 0, 0}, {500, 0, 0}, // to the end, and nothing at all
		{99_000, 5000, 1000}, {0, 1 << 40, 100_000}, {100_000, -1, 0}, {100_000, 10, 0}, {1 << 40, -1, 0}, // past it
	} {
		body, object, err := store.Open(t.Context(), key, r.offset, r.length)
		if err != nil {
			t.Errorf("open %d+%d: %v", r.offset, r.length, err)
			continue
		}
		got, err := io.ReadAll(body)
		body.Close()
		start := min(r.offset, 100_000)
		if err != nil || !bytes.Equal(got, data[start:start+r.want]) {
			t.Errorf("read %d+%d: %d bytes, %v, want the %d there", r.offset, r.length, len(got), err, r.want)
		}
		if object.Size != 100_000 || object.Key != key {
			t.Errorf("open %d+%d: says %s of %d bytes, want the whole object's", r.offset, r.length, object.Key, object.Size)
		}
	}
	holds(t, store, key+".empty", nil)

	body, _, err := store.Open(t.Context(), key, 0, -1) // given up half-way
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(body, make([]byte, 10)); err != nil {
		t.Error(err)
	}
	if err := body.Close(); err != nil {
		t.Errorf("close before the end: %v", err)
	}
}

func (s suite) check(t *testing.T, store remote.Store) {
	if err := store.Check(t.Context()); err != nil {
		t.Errorf("check: %v", err)
	}
	info := store.Info()
	if info.Kind == "" || info.Endpoint == "" {
		t.Errorf("info %+v does not say what the store is", info)
	}
}

// put puts src, closes it, and makes the test fail where it is read from after that.
func put(t *testing.T, store remote.Store, key string, src *Source, opts remote.PutOptions) (remote.Object, error) {
	t.Helper()
	return putUnder(t.Context(), t, store, key, src, opts)
}

func putUnder(ctx context.Context, t *testing.T, store remote.Store, key string, src *Source, opts remote.PutOptions,
) (remote.Object, error) {
	t.Helper()
	object, err := store.Put(ctx, key, src, opts)
	src.Close()
	t.Cleanup(func() {
		if src.ReadLate() {
			t.Errorf("put %s: the source was read after Put had returned", key)
		}
	})
	return object, err
}

func mustPut(t *testing.T, store remote.Store, key string, data []byte) remote.Object {
	t.Helper()
	object, err := put(t, store, key, NewSource(data), remote.PutOptions{ContentType: mp3})
	if err != nil {
		t.Fatalf("put %s: %v", key, err)
	}
	return object
}

// holds checks that the store has exactly data under key, by Stat and by Open.
func holds(t *testing.T, store remote.Store, key string, data []byte) {
	t.Helper()
	stat, err := store.Stat(t.Context(), key)
	if err != nil {
		t.Errorf("stat %s: %v", key, err)
		return
	}
	body, opened, err := store.Open(t.Context(), key, 0, -1)
	if err != nil {
		t.Errorf("open %s: %v", key, err)
		return
	}
	defer body.Close()
	got, err := io.ReadAll(body)
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("open %s: %d bytes, %v, want the %d that were put", key, len(got), err, len(data))
	}
	for how, object := range map[string]remote.Object{"stat": stat, "open": opened} {
		if object.Key != key || object.Size != int64(len(data)) || object.MD5 != "" && object.MD5 != sum(data) {
			t.Errorf("%s: %+v, want %s of %d bytes with MD5 %s", how, object, key, len(data), sum(data))
		}
	}
}

// lacks checks that the store says of key that there is no object.
func lacks(t *testing.T, store remote.Store, key string) {
	t.Helper()
	if object, err := store.Stat(t.Context(), key); !errors.Is(err, codestory.ErrNotFound) {
		t.Errorf("stat %s: %+v, %v, want ErrNotFound", key, object, err)
	}
}

func sum(data []byte) string {
	digest := md5.Sum(data)
	return hex.EncodeToString(digest[:])
}
