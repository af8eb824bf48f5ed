package access_test

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/daemon/access"
	"github.com/codestory/codestoryd/internal/problem"
)

// env is an open Access whose Run is under way, in a bubble of synctest.
type env struct {
	*access.Access
	problems *problem.Set
	log      *bytes.Buffer // to be read once the bubble rests
}

func newEnv(t *testing.T, dir string) env {
	t.Helper()
	e := env{log: &bytes.Buffer{}}
	log := slog.New(slog.NewTextHandler(e.log, nil))
	e.problems = problem.NewSet(log)
	var err error
	if e.Access, err = access.Open(dir, e.problems); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() {
		if err := e.Run(ctx, log); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		stop()
		done.Wait()
	})
	return e
}

// codes are those of the problems, each with the names of the files that it is about.
func (e env) codes() string {
	var codes []string
	for _, p := range e.problems.List() {
		text := p.Code
		for _, file := range p.Details {
			text += ":" + filepath.Base(file)
		}
		codes = append(codes, text)
	}
	return strings.Join(codes, " ")
}

// Keys and the owner's token are replaced without a restart, by removing or rewriting their files.
func TestSecretsAreReplaced(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		a := newEnv(t, dir)
		link, play := string(a.LinkKey()), a.PlayKey("a", codestory.OwnedBy("ada"))
		token, _ := access.OwnerToken(dir)
		time.Sleep(5 * time.Second)
		if string(a.LinkKey()) != link || a.PlayKey("a", codestory.OwnedBy("ada")) != play {
			t.Error("keys change by themselves")
		}

		if err := os.Remove(filepath.Join(dir, "link.key")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		if string(a.LinkKey()) == link || a.PlayKey("a", codestory.OwnedBy("ada")) == play {
			t.Error("the keys of a file that was removed are still in force")
		}
		if b := open(t, dir); string(b.LinkKey()) != string(a.LinkKey()) {
			t.Error("the new key is not the one on disk")
		}

		own := strings.Repeat("my own secret ", 4)
		if err := os.WriteFile(filepath.Join(dir, "token"), []byte(own), 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		if _, ok := a.Identify(t.Context(), token); ok {
			t.Error("the old token lets in")
		}
		if got, ok := a.Identify(t.Context(), strings.TrimSpace(own)); !ok || got.Scope != codestory.ScopeManage {
			t.Error("the new token does not let in")
		}
		if a.Prove("x") != access.Proof(strings.TrimSpace(own), "x") {
			t.Error("the proof is by the old token")
		}

		if err := os.WriteFile(filepath.Join(dir, "token"), []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		if _, ok := a.Identify(t.Context(), strings.TrimSpace(own)); !ok || a.codes() != "secret_unreadable" {
			t.Errorf("half a token: lets in %t, problems %q", ok, a.codes())
		}
		if _, ok := a.Identify(t.Context(), "half"); ok {
			t.Error("half a token lets in")
		}
		if err := os.Remove(filepath.Join(dir, "token")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		fresh, err := access.OwnerToken(dir)
		if _, ok := a.Identify(t.Context(), fresh); !ok || err != nil || a.codes() != "" {
			t.Errorf("a fresh token: lets in %t, %v, problems %q", ok, err, a.codes())
		}
	})
}

// Files that others could read are closed to them, and that is said: the secret may be known.
func TestOpenFilesAreClosedAndSaid(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no such rights")
	}
	dir := t.TempDir()
	for _, name := range []string{"token", "link.key"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(strings.Repeat("x", 43)), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Join(dir, name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	tokens := filepath.Join(dir, "tokens.json")
	if err := os.WriteFile(tokens, []byte("[]"), 0o666); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		a := newEnv(t, dir)
		for _, name := range []string{"token", "link.key", "tokens.json"} {
			if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%s: %v, %v", name, info.Mode(), err)
			}
		}
		if got := a.codes(); got != "secret_was_readable:token:link.key" {
			t.Errorf("problems: %q", got)
		}
		if err := os.Remove(filepath.Join(dir, "token")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		if got := a.codes(); got != "secret_was_readable:link.key" {
			t.Errorf("after one was replaced: %q", got)
		}
		if err := os.Chmod(filepath.Join(dir, "token"), 0o644); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		if info, err := os.Stat(filepath.Join(dir, "token")); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("opened while it is in use: %v, %v", info.Mode(), err)
		}
		synctest.Wait()
		if n := strings.Count(a.log.String(), "could read "+filepath.Join(dir, "token")); n != 1 {
			t.Errorf("logged %d times:\n%s", n, a.log)
		}
		if got := a.codes(); got != "secret_was_readable:token:link.key" {
			t.Errorf("with one that was opened while it is in use: %q", got)
		}
		for _, name := range []string{"token", "link.key"} {
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(2 * time.Second)
		if got := a.codes(); got != "" {
			t.Errorf("after both were replaced: %q", got)
		}
	})
}

// What others could write to is closed to them, at the start and while it runs, and that is told.
func TestDataDirectoryIsClosed(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no such rights")
	}
	dir := filepath.Join(t.TempDir(), "data")
	store := filepath.Join(dir, "store")
	database := filepath.Join(dir, "codestoryd.db")
	want := func(path string, mode os.FileMode) {
		t.Helper()
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v, want %v", path, info.Mode(), err, mode)
		}
	}
	for _, err := range []error{os.MkdirAll(store, 0o700), os.WriteFile(database, nil, 0o600),
		os.Chmod(store, 0o777), os.Chmod(database, 0o666), os.Chmod(dir, 0o775)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		a := newEnv(t, dir)
		want(dir, 0o755)
		want(store, 0o700)
		want(database, 0o600)
		if got := a.codes(); got != "data_dir_was_open:data:codestoryd.db:store" {
			t.Errorf("problems: %q", got)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		a := newEnv(t, dir)
		if got := a.codes(); got != "" {
			t.Errorf("at the next start: %q", got)
		}
		for path, mode := range map[string]os.FileMode{dir: 0o777, filepath.Dir(dir): 0o777} {
			if err := os.Chmod(path, mode); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(61 * time.Second)
		want(dir, 0o755)
		if got := a.codes(); got != "data_dir_open:"+filepath.Base(filepath.Dir(dir))+" data_dir_was_open:data" {
			t.Errorf("opened while it runs: %q", got)
		}
		if err := os.Chmod(filepath.Dir(dir), 0o777|os.ModeSticky); err != nil { // as /tmp
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if got := a.codes(); got != "data_dir_was_open:data" {
			t.Errorf("after the folder above was closed: %q", got)
		}
	})
}

// A directory that is shared on purpose is not ours to close, even where it could be.
func TestStickyDataDirectoryIsLeftAlone(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no such rights")
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		a := newEnv(t, dir)
		if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o777 || a.codes() != "data_dir_open:"+filepath.Base(dir) {
			t.Errorf("mode %v, %v, problems %q", info.Mode(), err, a.codes())
		}
	})
}

// When a token was last used is written now and then, not at each use.
func TestLastUseIsWritten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		a := newEnv(t, dir)
		secret, err := a.AddToken(codestory.Token{Name: "phone", Scope: codestory.ScopePlay})
		if err != nil {
			t.Fatal(err)
		}
		onDisk := func() *time.Time { return open(t, dir).Tokens()[0].LastUsed }
		a.Identify(t.Context(), secret)
		if got := a.Tokens()[0].LastUsed; got == nil || onDisk() != nil {
			t.Errorf("at once: told %v, written %v", got, onDisk())
		}
		used := time.Now()
		time.Sleep(61 * time.Second)
		if got := onDisk(); got == nil || !got.Equal(used) {
			t.Errorf("a minute later: %v, want %v", got, used)
		}
		before, err := os.Stat(filepath.Join(dir, "tokens.json"))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Minute)
		if after, err := os.Stat(filepath.Join(dir, "tokens.json")); err != nil || !os.SameFile(before, after) {
			t.Errorf("written again with nothing to say, %v", err)
		}
	})
}
