package folder

import (
	"crypto/md5"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/remote"
	"github.com/codestory/codestoryd/remote/remotetest"
)

const (
	story = codestory.KeyPrefix + "0f9619ff-8b86-4d01-b42d-00c04fc964ff/"
	key   = story + "audio/story.mp3"
	mp3   = "audio/mpeg"
)

func mustPut(t *testing.T, store remote.Store, key, data string) remote.Object {
	t.Helper()
	object, err := store.Put(t.Context(), key, remotetest.NewSource([]byte(data)), remote.PutOptions{ContentType: mp3})
	if err != nil {
		t.Fatal(err)
	}
	return object
}

func mustRead(t *testing.T, store remote.Store, key string) string {
	t.Helper()
	body, _, err := store.Open(t.Context(), key, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	data, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// at is the path of a file in the folder.
func (s *Store) at(name string) string { return filepath.Join(s.dir, filepath.FromSlash(name)) }

func (s *Store) stat(t *testing.T, key string) os.FileInfo {
	t.Helper()
	info, err := os.Lstat(s.at(key))
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// inRoot calls do with the folder opened.
func (s *Store) inRoot(t *testing.T, do func(root *os.Root) error) {
	t.Helper()
	root, err := s.open()
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if err := do(root); err != nil {
		t.Fatal(err)
	}
}

// kept is the sidecar of a key.
func (s *Store) kept(t *testing.T, key string) (kept sidecar) {
	t.Helper()
	s.inRoot(t, func(root *os.Root) (err error) {
		kept, err = s.readSidecar(root, key)
		return err
	})
	return kept
}

func sum(data string) string {
	digest := md5.Sum([]byte(data))
	return hex.EncodeToString(digest[:])
}

func wantEmpty(t *testing.T, dir string) {
	t.Helper()
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left in %s: %v, %v", dir, left, err)
	}
}

// TestAfterACrash opens the folder in each state that a kill or a power cut can leave it in.
func TestAfterACrash(t *testing.T) {
	t.Parallel()
	const older, newer = "the older version", "the newer one"
	for name, c := range map[string]struct {
		crash    func(t *testing.T, folder *Store)
		want     string
		wantType string
	}{
		"a temporary was left half written": {func(t *testing.T, folder *Store) {
			write(t, folder.at(newTemporary()), "the newer o")
		}, older, mp3},
		"a temporary and its sidecar were left": {func(t *testing.T, folder *Store) {
			write(t, folder.at(newTemporary()), newer)
			write(t, folder.at(newTemporary()), `{"key":"`+key+`","versi`)
		}, older, mp3},
		"directories were made": {func(t *testing.T, folder *Store) {
			folder.inRoot(t, func(root *os.Root) error { return folder.makeDir(root, "stories/x/y") })
		}, older, mp3},
		"the sidecar speaks of an object that never came": {func(t *testing.T, folder *Store) {
			kept := folder.kept(t, key)
			kept.Versions = append(kept.Versions, version{Size: int64(len(newer)), Modified: 1, MD5: "0", ContentType: "x/y"})
			folder.inRoot(t, func(root *os.Root) error { return folder.writeSidecar(root, kept) })
		}, older, mp3},
		"the new object is there and speaks for itself": {func(t *testing.T, folder *Store) {
			mustPut(t, folder, key, newer)
		}, newer, mp3},
		"the new object is there and its sidecar was lost": {func(t *testing.T, folder *Store) {
			kept, err := os.ReadFile(folder.at(folder.slot(key)))
			if err != nil {
				t.Fatal(err)
			}
			mustPut(t, folder, key, newer)
			write(t, folder.at(folder.slot(key)), string(kept))
		}, newer, ""},
		"the sidecar is empty":       {func(t *testing.T, folder *Store) { write(t, folder.at(folder.slot(key)), "") }, older, ""},
		"the sidecar is of zeros":    {func(t *testing.T, folder *Store) { write(t, folder.at(folder.slot(key)), "\x00\x00\x00") }, older, ""},
		"the sidecar is not there":   {func(t *testing.T, folder *Store) { remove(t, folder.at(folder.slot(key))) }, older, ""},
		"the object was overwritten": {func(t *testing.T, folder *Store) { write(t, folder.at(key), newer) }, newer, ""},
		"the object has another time": {func(t *testing.T, folder *Store) {
			if err := os.Chtimes(folder.at(key), time.Time{}, time.Unix(1700000000, 0)); err != nil {
				t.Fatal(err)
			}
		}, older, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before := newStore(t)
			mustPut(t, before, key, older)
			c.crash(t, before)
			after, err := New(before.dir, Options{})
			if err != nil {
				t.Fatal(err)
			}
			wantEmpty(t, after.at(temporaries))
			for range 2 { // what had to be computed is kept
				object, err := after.Stat(t.Context(), key)
				if err != nil {
					t.Fatal(err)
				}
				if object.MD5 != sum(c.want) || object.ETag != object.MD5 || object.ContentType != c.wantType {
					t.Errorf("got %+v, want MD5 %s and type %q", object, sum(c.want), c.wantType)
				}
				if got := mustRead(t, after, key); got != c.want {
					t.Errorf("read %q, want %q", got, c.want)
				}
				if kept := after.kept(t, key); len(kept.Versions) == 0 {
					t.Errorf("kept %+v, want the sum that was computed", kept)
				}
			}
			mustPut(t, after, key, "the newest")
			if object, err := after.Stat(t.Context(), key); err != nil || object.MD5 != sum("the newest") || object.ContentType != mp3 {
				t.Errorf("after another put: %+v, %v", object, err)
			}
		})
	}
}

func TestShowsNothingOfAPutInFlight(t *testing.T) {
	t.Parallel()
	folder := newStore(t)
	data := remotetest.Bytes(1 << 20)
	half, resume, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	src := remotetest.NewSource(data).OnReach(1<<19, func() {
		close(half)
		<-resume
	})
	go func() {
		_, err := folder.Put(t.Context(), key, src, remote.PutOptions{})
		done <- err
	}()
	<-half
	if object, err := folder.Stat(t.Context(), key); !errors.Is(err, codestory.ErrNotFound) {
		t.Errorf("stat: %+v, %v, want no object", object, err)
	}
	if _, err := os.Lstat(folder.at(key)); !os.IsNotExist(err) {
		t.Errorf("lstat: %v, want no file", err)
	}
	close(resume)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got := mustRead(t, folder, key); got != string(data) {
		t.Errorf("read %d bytes, want the %d that were put", len(got), len(data))
	}
}

func TestKeepsKeysApart(t *testing.T) {
	t.Parallel()
	folder := newStore(t)
	for _, names := range [][]string{
		{"a\x01b", "a␁b", "a‛␁b"}, {"a\x7fb", "a␡b"}, {"a:b", "a：b", "a‛：b"}, {"a*b", "a＊b"}, {`a\b`, "a＼b"},
		{"a/b", "a／b", "a‛／b"}, {"x．", "x．．", "．", "‛．", "．．"}, {"end ", "end␠"}, {"dot.", "dot．"}, {"␀", "‛␀", "‛"},
		{"CON", "CON.mp3", "nul", "~1"},
	} {
		for _, name := range names {
			mustPut(t, folder, story+name, name)
		}
		for _, name := range names {
			if got := mustRead(t, folder, story+name); got != name {
				t.Errorf("%q reads %q", name, got)
			}
		}
	}
}

func TestRefusesKeysThatAreNoFiles(t *testing.T) {
	t.Parallel()
	folder := newStore(t)
	if err := os.MkdirAll(folder.at(story+"directory"), 0o777); err != nil {
		t.Fatal(err)
	}
	mustPut(t, folder, story+"file", "x")
	for name, key := range map[string]string{
		"empty": "", "absolute": "/a", "trailing slash": "a/", "double slash": "a//b", "dot": "a/./b", "dots": "a/../../b",
		"NUL": "a\x00b", "not UTF-8": "a\xffb", "hidden": ".codestoryd/tmp/a", "hidden in capitals": ".CODESTORYD/a",
		"a directory": story + "directory", "below a file": story + "file/below", "below below a file": story + "file/a/b",
		"a long element": story + strings.Repeat("x", 256), "a long directory": story + strings.Repeat("x", 256) + "/y",
	} {
		_, err := folder.Put(t.Context(), key, remotetest.NewSource([]byte("y")), remote.PutOptions{})
		if codestory.ClassOf(t.Context(), err) != codestory.ClassBlock || !strings.Contains(codestory.Hint(err), "rename") {
			t.Errorf("%s: %v, want it blocked and a hint what to rename", name, err)
		}
	}
	wantEmpty(t, folder.at(temporaries))
	if got := mustRead(t, folder, story+"file"); got != "x" {
		t.Errorf("the file reads %q", got)
	}
}

func TestFollowsNoSymlink(t *testing.T) {
	t.Parallel()
	folder := newStore(t)
	target := filepath.Join(t.TempDir(), "target")
	write(t, target, "outside")
	if err := os.MkdirAll(filepath.Dir(folder.at(key)), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, folder.at(key)); err != nil {
		t.Skipf("this system makes no symlinks here: %v", err)
	}
	if object, err := folder.Stat(t.Context(), key); !errors.Is(err, codestory.ErrNotFound) {
		t.Errorf("stat: %+v, %v, want no object", object, err)
	}
	mustPut(t, folder, key, "inside")
	if got := mustRead(t, folder, key); got != "inside" {
		t.Errorf("the object reads %q", got)
	}
	if got, err := os.ReadFile(target); err != nil || string(got) != "outside" {
		t.Errorf("what the symlink led to is now %q, %v", got, err)
	}
}

// TestTellsTwins is on a file system that takes two keys for one file: where this one does not, it is as if.
func TestTellsTwins(t *testing.T) {
	t.Parallel()
	folder := newStore(t)
	folder.folds = folding{letterCase: true, unicodeForm: true}
	for first, second := range map[string]string{
		story + "A.mp3": story + "a.mp3", story + "\u00e9.mp3": story + "e\u0301.mp3",
	} {
		mustPut(t, folder, first, "first")
		if _, err := os.Lstat(folder.at(second)); err != nil {
			write(t, folder.at(second), "first")
		}
		if object, err := folder.Stat(t.Context(), second); !errors.Is(err, codestory.ErrNotFound) {
			t.Errorf("stat %q: %+v, %v, want no object", second, object, err)
		}
		_, err := folder.Put(t.Context(), second, remotetest.NewSource([]byte("second")), remote.PutOptions{})
		if codestory.ClassOf(t.Context(), err) != codestory.ClassBlock || !strings.Contains(codestory.Hint(err), first) {
			t.Errorf("put %q: %v, want it blocked because of %q", second, err, first)
		}
		if got := mustRead(t, folder, first); got != "first" {
			t.Errorf("%q reads %q", first, got)
		}
	}
}

func TestProbe(t *testing.T) {
	t.Parallel()
	store := newStore(t)
	got := store.folds
	if runtime.GOOS == "linux" && got != (folding{}) || runtime.GOOS == "windows" && !got.letterCase {
		t.Errorf("got %+v on %s", got, runtime.GOOS)
	}
	wantEmpty(t, store.at(temporaries))
}

func TestThatIsGoneIsNotMadeAgain(t *testing.T) {
	t.Parallel()
	folder := newStore(t)
	mustPut(t, folder, key, "x")
	if err := os.Rename(folder.dir, folder.dir+".unmounted"); err != nil {
		t.Fatal(err)
	}
	_, put := folder.Put(t.Context(), key, remotetest.NewSource([]byte("y")), remote.PutOptions{})
	_, stat := folder.Stat(t.Context(), key)
	_, _, open := folder.Open(t.Context(), key, 0, -1)
	for name, err := range map[string]error{"put": put, "stat": stat, "open": open, "check": folder.Check(t.Context())} {
		e, ok := errors.AsType[*codestory.Error](err)
		if !ok || e.Class != codestory.ClassPause || e.State != codestory.RemoteUnavailable || errors.Is(err, codestory.ErrNotFound) {
			t.Errorf("%s: %v, want a pause because the folder is unavailable", name, err)
		}
	}
	if _, err := os.Lstat(folder.dir); !os.IsNotExist(err) {
		t.Errorf("lstat: %v, want the folder still gone", err)
	}
	if err := os.Rename(folder.dir+".unmounted", folder.dir); err != nil {
		t.Fatal(err)
	}
	if got := mustRead(t, folder, key); got != "x" {
		t.Errorf("when it is back, the object reads %q", got)
	}
	mustPut(t, folder, key, "y")
}

func TestNew(t *testing.T) {
	t.Parallel()
	t.Run("is made with what is missing above it", func(t *testing.T) {
		t.Parallel()
		dir := filepath.Join(t.TempDir(), "a", "b／c", "‛．", "␁ end ", "d")
		if runtime.GOOS == "windows" {
			dir = filepath.Join(t.TempDir(), "a", "b")
		}
		folder, err := New(dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		mustPut(t, folder, key, "x")
		if data, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(key))); err != nil || string(data) != "x" {
			t.Errorf("read %q, %v", data, err)
		}
		if got := folder.Info(); got != (remote.Info{Kind: "local", Endpoint: dir}) {
			t.Errorf("info %+v", got)
		}
	})
	t.Run("is not made where a file stands", func(t *testing.T) {
		t.Parallel()
		file := filepath.Join(t.TempDir(), "file")
		write(t, file, "x")
		for _, dir := range []string{file, filepath.Join(file, "below")} {
			if _, err := New(dir, Options{}); err == nil || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s: %v, want one line", dir, err)
			}
		}
	})
}

// TestVersionsOfOneTimeAreToldApart puts two versions of one size in a moment that a coarse clock does not tell apart.
func TestVersionsOfOneTimeAreToldApart(t *testing.T) {
	t.Parallel()
	folder := newStore(t)
	mustPut(t, folder, key, "a")
	at := time.Now().Add(time.Hour)
	if err := os.Chtimes(folder.at(key), at, at); err != nil {
		t.Fatal(err)
	}
	if _, err := folder.Stat(t.Context(), key); err != nil { // "a" is described with that time
		t.Fatal(err)
	}
	temporary := newTemporary()
	write(t, folder.at(temporary), "b")
	if err := os.Chtimes(folder.at(temporary), at, at); err != nil {
		t.Fatal(err)
	}
	folder.inRoot(t, func(root *os.Root) error {
		_, err := folder.replace(t.Context(), root, temporary, key, version{MD5: sum("b")})
		return err
	})
	object, err := folder.Stat(t.Context(), key)
	if err != nil || object.MD5 != sum("b") || object.Modified.Equal(at) {
		t.Errorf("got %+v, %v, want MD5 %s at another time than %v", object, err, sum("b"), at)
	}
}

// TestCopyIsALink copies without a byte being read, and neither object changes the other.
func TestCopyIsALink(t *testing.T) {
	t.Parallel()
	folder := newStore(t)
	from := mustPut(t, folder, key, "x")
	if _, err := folder.Copy(t.Context(), from, story+"copy"); err != nil {
		t.Fatal(err)
	}
	if !os.SameFile(folder.stat(t, key), folder.stat(t, story+"copy")) {
		t.Skip("this file system has no hard links")
	}
	mustPut(t, folder, key, "y")
	if got := mustRead(t, folder, story+"copy"); got != "x" {
		t.Errorf("the copy reads %q", got)
	}
	if err := folder.Remove(t.Context(), []string{key}); err != nil {
		t.Fatal(err)
	}
	if object, err := folder.Stat(t.Context(), story+"copy"); err != nil || object.MD5 != sum("x") || object.ContentType != mp3 {
		t.Errorf("got %+v, %v", object, err)
	}
	wantEmpty(t, folder.at(temporaries))
}

func TestErrors(t *testing.T) {
	t.Parallel()
	folder := newStore(t)
	for code, want := range map[syscall.Errno]codestory.RemoteState{
		syscall.ENOSPC: codestory.RemoteFull, syscall.EACCES: codestory.RemoteDenied, syscall.EROFS: codestory.RemoteDenied,
	} {
		err := folder.classify(&os.PathError{Op: "write", Path: "x", Err: code})
		if e, ok := errors.AsType[*codestory.Error](err); !ok || e.State != want || !strings.Contains(e.Hint, folder.dir) {
			t.Errorf("%v: %v, want %s", code, err, want)
		}
	}
	if err := folder.classify(syscall.EIO); codestory.ClassOf(t.Context(), err) != codestory.ClassRetry {
		t.Errorf("EIO: %v, want a retry", err)
	}
}

func write(t *testing.T, path, data string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(data), 0o666); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}
