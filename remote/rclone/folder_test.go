package rclone

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
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

// place is the file of a key that needs no encoding.
func place(folder *Folder, key string) string {
	return filepath.Join(folder.root, filepath.FromSlash(key))
}

// TestFolderAfterACrash opens the folder in each state that a kill or a power cut can leave it in.
func TestFolderAfterACrash(t *testing.T) {
	t.Parallel()
	const older, newer = "the older version", "the newer one"
	for name, c := range map[string]struct {
		crash    func(t *testing.T, folder *Folder)
		want     string
		wantType string
	}{
		"a temporary was left half written": {func(t *testing.T, folder *Folder) {
			write(t, folder.temporary(), "the newer o")
		}, older, mp3},
		"a temporary and its sidecar were left": {func(t *testing.T, folder *Folder) {
			write(t, folder.temporary(), newer)
			write(t, folder.temporary(), `{"key":"`+key+`","versi`)
		}, older, mp3},
		"directories were made": {func(t *testing.T, folder *Folder) {
			if err := folder.makeDir(filepath.Join(folder.root, "stories", "x", "y")); err != nil {
				t.Fatal(err)
			}
		}, older, mp3},
		"the sidecar speaks of an object that never came": {func(t *testing.T, folder *Folder) {
			kept, err := folder.readSidecar(key)
			if err != nil {
				t.Fatal(err)
			}
			kept.Versions = append(kept.Versions, version{Size: int64(len(newer)), Modified: 1, MD5: "0", ContentType: "x/y"})
			if _, err := folder.writeSidecar(kept); err != nil {
				t.Fatal(err)
			}
		}, older, mp3},
		"the new object is there and speaks for itself": {func(t *testing.T, folder *Folder) {
			mustPut(t, folder, key, newer)
		}, newer, mp3},
		"the new object is there and its sidecar was lost": {func(t *testing.T, folder *Folder) {
			kept, err := os.ReadFile(folder.slot(key))
			if err != nil {
				t.Fatal(err)
			}
			mustPut(t, folder, key, newer)
			write(t, folder.slot(key), string(kept))
		}, newer, ""},
		"the sidecar is empty":       {func(t *testing.T, folder *Folder) { write(t, folder.slot(key), "") }, older, ""},
		"the sidecar is of zeros":    {func(t *testing.T, folder *Folder) { write(t, folder.slot(key), "\x00\x00\x00") }, older, ""},
		"the sidecar is not there":   {func(t *testing.T, folder *Folder) { remove(t, folder.slot(key)) }, older, ""},
		"the object was overwritten": {func(t *testing.T, folder *Folder) { write(t, place(folder, key), newer) }, newer, ""},
		"the object has another time": {func(t *testing.T, folder *Folder) {
			if err := os.Chtimes(place(folder, key), time.Time{}, time.Unix(1700000000, 0)); err != nil {
				t.Fatal(err)
			}
		}, older, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before := newFolder(t)
			mustPut(t, before, key, older)
			c.crash(t, before)
			after, err := NewFolder(before.dir, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if left, err := os.ReadDir(after.tmp); err != nil || len(left) > 0 {
				t.Errorf("temporaries left: %v, %v", left, err)
			}
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
				if kept, err := after.readSidecar(key); err != nil || len(kept.Versions) == 0 {
					t.Errorf("kept %+v, %v, want the sum that was computed", kept, err)
				}
			}
			mustPut(t, after, key, "the newest")
			if object, err := after.Stat(t.Context(), key); err != nil || object.MD5 != sum("the newest") || object.ContentType != mp3 {
				t.Errorf("after another put: %+v, %v", object, err)
			}
		})
	}
}

func TestFolderShowsNothingOfAPutInFlight(t *testing.T) {
	t.Parallel()
	folder := newFolder(t)
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
	if _, err := os.Lstat(place(folder, key)); !os.IsNotExist(err) {
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

func TestFolderKeepsKeysApart(t *testing.T) {
	t.Parallel()
	folder := newFolder(t)
	// rclone writes the first of each line as the second, where it has to.
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

func TestFolderRefusesKeysThatAreNoFiles(t *testing.T) {
	t.Parallel()
	folder := newFolder(t)
	if err := os.MkdirAll(place(folder, story+"directory"), 0o777); err != nil {
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
	if left, err := os.ReadDir(folder.tmp); err != nil || len(left) > 0 {
		t.Errorf("temporaries left: %v, %v", left, err)
	}
	if got := mustRead(t, folder, story+"file"); got != "x" {
		t.Errorf("the file reads %q", got)
	}
}

func TestFolderFollowsNoSymlink(t *testing.T) {
	t.Parallel()
	folder := newFolder(t)
	target := filepath.Join(t.TempDir(), "target")
	write(t, target, "outside")
	if err := os.MkdirAll(filepath.Dir(place(folder, key)), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, place(folder, key)); err != nil {
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

// TestFolderTellsTwins is on a file system that takes two keys for one file: where this one does not, it is as if.
func TestFolderTellsTwins(t *testing.T) {
	t.Parallel()
	folder := newFolder(t)
	folder.folds = folding{letterCase: true, unicodeForm: true}
	for first, second := range map[string]string{
		story + "A.mp3": story + "a.mp3", story + "\u00e9.mp3": story + "e\u0301.mp3",
	} {
		mustPut(t, folder, first, "first")
		if _, err := os.Lstat(place(folder, second)); err != nil {
			write(t, place(folder, second), "first")
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
	dir := t.TempDir()
	got, err := probe(dir)
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS == "linux" && got != (folding{}) || runtime.GOOS == "windows" && !got.letterCase {
		t.Errorf("got %+v on %s", got, runtime.GOOS)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestFolderThatIsGoneIsNotMadeAgain(t *testing.T) {
	t.Parallel()
	folder := newFolder(t)
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

func TestNewFolder(t *testing.T) {
	t.Parallel()
	t.Run("is made with what is missing above it", func(t *testing.T) {
		t.Parallel()
		// Names that rclone would write otherwise, were they names of objects.
		dir := filepath.Join(t.TempDir(), "a", "b／c", "‛．", "␁ end ", "d")
		if runtime.GOOS == "windows" {
			dir = filepath.Join(t.TempDir(), "a", "b")
		}
		folder, err := NewFolder(dir, Options{})
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
			if _, err := NewFolder(dir, Options{}); err == nil || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s: %v, want one line", dir, err)
			}
		}
	})
}

// TestFolderTimesDiffer puts two versions of one size in a moment that a coarse clock does not tell apart.
func TestFolderTimesDiffer(t *testing.T) {
	t.Parallel()
	folder := newFolder(t)
	mustPut(t, folder, key, "a")
	at := time.Now().Add(time.Hour)
	if err := os.Chtimes(place(folder, key), at, at); err != nil {
		t.Fatal(err)
	}
	if _, err := folder.Stat(t.Context(), key); err != nil { // "a" is described with that time
		t.Fatal(err)
	}
	temporary := folder.temporary()
	body := remote.NewBody(remotetest.NewSource([]byte("b")))
	file, err := folder.write(t.Context(), temporary, body, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(temporary, at, at); err != nil {
		t.Fatal(err)
	}
	if file, err = folder.local.NewObject(t.Context(), file.Remote()); err != nil {
		t.Fatal(err)
	}
	if err := folder.replace(t.Context(), key, key, file, temporary, &version{Size: 1, MD5: body.Sum()}); err != nil {
		t.Fatal(err)
	}
	object, err := folder.Stat(t.Context(), key)
	if err != nil || object.MD5 != sum("b") || object.Modified.Equal(at) {
		t.Errorf("got %+v, %v, want MD5 %s at another time than %v", object, err, sum("b"), at)
	}
}

// TestFolderForgetsDirectories makes more of them than are remembered.
func TestFolderForgetsDirectories(t *testing.T) {
	t.Parallel()
	folder := newFolder(t)
	for i := range maxDirs + 10 {
		if err := folder.makeDir(filepath.Join(folder.root, fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(folder.dirs); n > maxDirs {
		t.Errorf("%d directories are remembered, want at most %d", n, maxDirs)
	}
	removed := filepath.Join(folder.root, "a")
	for range 2 {
		if err := folder.makeDir(filepath.Join(removed, "b")); err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(removed); err != nil {
			t.Fatal(err)
		}
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
