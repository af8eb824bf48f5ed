package atomicfile_test

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/codestory/codestoryd/internal/atomicfile"
	"github.com/codestory/codestoryd/internal/problem"
)

func TestFollowed(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "file")
	write := func(content string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	reads := 0
	read := func(string) (string, error) {
		reads++
		b, err := os.ReadFile(path)
		if err == nil && string(b) == "bad" {
			err = errors.New("it is bad")
		}
		return string(b), err
	}
	synctest.Test(t, func(t *testing.T) {
		problems := problem.NewSet(slog.New(slog.DiscardHandler))
		opts := atomicfile.FollowOptions{Paths: []string{path}, Every: time.Second, Problems: problems, Code: "bad_file", Message: "old stays: "}
		if _, err := atomicfile.Open(opts, read); err == nil || len(problems.List()) != 0 {
			t.Errorf("without a file: %v, problems %v", err, problems.List())
		}
		write("a")
		f, err := atomicfile.Open(opts, read)
		if err != nil || f.Now() != "a" {
			t.Fatalf("opened: %q, %v", f.Now(), err)
		}
		look := func(step, want string, wantRead, wantProblem bool) {
			t.Helper()
			value, read := f.Look()
			if value != want || f.Now() != want || read != wantRead || (len(problems.List()) == 1) != wantProblem {
				t.Errorf("%s: got %q, read %t, problems %v; want %q", step, value, read, problems.List(), want)
			}
		}
		write("b")
		look("too soon", "a", false, false)
		time.Sleep(time.Second)
		look("changed", "b", true, false)
		time.Sleep(time.Second)
		write("bad")
		look("bad", "b", false, true)
		if p := problems.List()[0]; p.Code != "bad_file" || p.Message != "old stays: it is bad" {
			t.Errorf("problem %+v", p)
		}
		before := reads
		look("bad, at once", "b", false, true)
		if reads != before {
			t.Error("a bad file is read more often than Every says")
		}
		time.Sleep(time.Hour)
		look("bad still", "b", false, true)
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		look("gone", "b", false, true)
		write("c")
		time.Sleep(time.Second)
		look("mended", "c", true, false)
	})
}
