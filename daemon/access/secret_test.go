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
)

// running is an open Access whose Run is under way, in a bubble of synctest.
func running(t *testing.T, dir string) *access.Access {
	t.Helper()
	return runningWith(t, dir, slog.New(slog.DiscardHandler))
}

func runningWith(t *testing.T, dir string, log *slog.Logger) *access.Access {
	t.Helper()
	a := open(t, dir)
	ctx, stop := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() {
		if err := a.Run(ctx, log); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		stop()
		done.Wait()
	})
	return a
}

func problemCodes(a *access.Access) string {
	var codes []string
	for _, p := range a.Problems() {
		codes = append(codes, p.Code)
	}
	return strings.Join(codes, " ")
}

// Keys and the owner's token are replaced without a restart, by removing or rewriting their files.
func TestSecretsAreReplaced(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		a := running(t, dir)
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
		if _, ok := a.Identify(t.Context(), strings.TrimSpace(own)); !ok || problemCodes(a) != "secret_unreadable" {
			t.Errorf("half a token: lets in %t, problems %q", ok, problemCodes(a))
		}
		if _, ok := a.Identify(t.Context(), "half"); ok {
			t.Error("half a token lets in")
		}
		if err := os.Remove(filepath.Join(dir, "token")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		fresh, err := access.OwnerToken(dir)
		if _, ok := a.Identify(t.Context(), fresh); !ok || err != nil || problemCodes(a) != "" {
			t.Errorf("a fresh token: lets in %t, %v, problems %q", ok, err, problemCodes(a))
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
		var logged bytes.Buffer
		a := runningWith(t, dir, slog.New(slog.NewTextHandler(&logged, nil)))
		for _, name := range []string{"token", "link.key", "tokens.json"} {
			if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%s: %v, %v", name, info.Mode(), err)
			}
		}
		if got := problemCodes(a); got != "secret_was_readable secret_was_readable" {
			t.Errorf("problems: %q", got)
		}
		if err := os.Remove(filepath.Join(dir, "token")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		if got := problemCodes(a); got != "secret_was_readable" {
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
		if n := strings.Count(logged.String(), "could read "+filepath.Join(dir, "token")); n != 2 { // at the start, and now
			t.Errorf("logged %d times:\n%s", n, &logged)
		}
		if got := problemCodes(a); got != "secret_was_readable secret_was_readable" {
			t.Errorf("with one that was opened while it is in use: %q", got)
		}
		if err := os.Remove(filepath.Join(dir, "token")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		if err := os.Chmod(dir, 0o777); err != nil {
			t.Fatal(err)
		}
		if got := problemCodes(a); got != "secret_was_readable data_dir_open" {
			t.Errorf("with a directory that is open to all: %q", got)
		}
		if err := os.Chmod(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	})
}

// When a token was last used is written now and then, not at each use.
func TestLastUseIsWritten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		a := running(t, dir)
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
