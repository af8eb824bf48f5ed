package access_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/daemon/access"
)

func open(t *testing.T, dir string) *access.Access {
	t.Helper()
	a, err := access.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestOwnersTokenOutlivesARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a := open(t, dir)
	secret, err := access.OwnerToken(dir)
	if err != nil || len(secret) != 43 {
		t.Fatalf("owner's token %q, %v", secret, err)
	}
	key, play := string(a.LinkKey()), a.PlayKey("a")
	a = open(t, dir)
	if token, ok := a.Identify(secret); !ok || token.Scope != codestory.ScopeManage {
		t.Errorf("after a restart: %+v, %t", token, ok)
	}
	if string(a.LinkKey()) != key || a.PlayKey("a") != play || a.PlayKey("b") == play {
		t.Error("keys changed with a restart, or are the same for two stories")
	}
	for _, wrong := range []string{"", secret[1:], secret + "x"} {
		if _, ok := a.Identify(wrong); ok {
			t.Errorf("%q was let in", wrong)
		}
	}
}

func TestTokens(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a := open(t, dir)
	secret, err := a.AddToken(codestory.Token{Name: "phone", User: "ada", Scope: codestory.ScopePlay})
	if err != nil {
		t.Fatal(err)
	}
	if token, ok := a.Identify(secret); !ok || token.User != "ada" || token.Scope != codestory.ScopePlay {
		t.Errorf("%+v, %t", token, ok)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "tokens.json"))
	if err != nil || strings.Contains(string(b), secret) {
		t.Errorf("the file has the secret itself: %s, %v", b, err)
	}
	a = open(t, dir)
	if list := a.Tokens(); len(list) != 1 || list[0].Name != "phone" || list[0].LastUsed == nil {
		t.Errorf("after a restart: %+v", list)
	}
	for _, bad := range []codestory.Token{
		{Name: "phone", Scope: codestory.ScopePlay}, {Name: "", Scope: codestory.ScopePlay},
		{Name: "a b", Scope: codestory.ScopePlay}, {Name: access.OwnerName, Scope: codestory.ScopePlay}, {Name: "x", Scope: "all"},
	} {
		if _, err := a.AddToken(bad); err == nil {
			t.Errorf("%+v was added", bad)
		}
	}
	if err := a.RemoveToken("phone"); err != nil {
		t.Error(err)
	}
	if _, ok := a.Identify(secret); ok {
		t.Error("a token that was removed still lets in")
	}
	if err := a.RemoveToken("phone"); !errors.Is(err, codestory.ErrNotFound) {
		t.Errorf("removed twice: %v", err)
	}
}

func TestFilesAreTheOwnersAlone(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no such rights")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "token"), []byte(strings.Repeat("x", 43)), 0o666); err != nil {
		t.Fatal(err)
	}
	a := open(t, dir)
	if _, err := a.AddToken(codestory.Token{Name: "phone", Scope: codestory.ScopePlay}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"token", "tokens.json", "link.key"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
}

func TestBadFilesAreSaidClearly(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{"token": "short", "link.key": "", "tokens.json": "{"} {
		dir := t.TempDir()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := access.Open(dir); err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "remove") {
			t.Errorf("%s: %v", name, err)
		}
		if b, _ := os.ReadFile(path); string(b) != content {
			t.Errorf("%s was changed to %q", name, b)
		}
	}
}
