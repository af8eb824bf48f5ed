package access_test

import (
	"errors"
	"fmt"
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
	a, err := access.Open(dir, nil)
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
	key, play := string(a.LinkKey()), a.PlayKey("a", codestory.OwnedBy("ada"))
	a = open(t, dir)
	if token, ok := a.Identify(t.Context(), secret); !ok || token.Scope != codestory.ScopeManage {
		t.Errorf("after a restart: %+v, %t", token, ok)
	}
	if string(a.LinkKey()) != key || a.PlayKey("a", codestory.OwnedBy("ada")) != play || a.PlayKey("b", codestory.OwnedBy("ada")) == play {
		t.Error("keys changed with a restart, or are the same for two stories")
	}
	for _, wrong := range []string{"", secret[1:], secret + "x"} {
		if _, ok := a.Identify(t.Context(), wrong); ok {
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
	if token, ok := a.Identify(t.Context(), secret); !ok || token.User != "ada" || token.Scope != codestory.ScopePlay {
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
	if err := a.RemoveToken("phone", false); err != nil {
		t.Error(err)
	}
	if _, ok := a.Identify(t.Context(), secret); ok {
		t.Error("a token that was removed still lets in")
	}
	if err := a.RemoveToken("phone", false); !errors.Is(err, codestory.ErrNotFound) {
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
	if err := os.WriteFile(filepath.Join(dir, "keys.json"), []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	a := open(t, dir)
	if _, err := a.AddToken(codestory.Token{Name: "phone", Scope: codestory.ScopePlay}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"token", "tokens.json", "link.key", "keys.json"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
}

func TestBadFilesAreSaidClearly(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{"token": "short", "link.key": "", "tokens.json": "{", "keys.json": "[]"} {
		dir := t.TempDir()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := access.Open(dir, nil); err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "remove") {
			t.Errorf("%s: %v", name, err)
		}
		if b, _ := os.ReadFile(path); string(b) != content {
			t.Errorf("%s was changed to %q", name, b)
		}
	}
}

func TestKeysAreReplaced(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a := open(t, dir)
	const story, other = codestory.StoryID("a"), codestory.StoryID("b")
	seen := map[string]bool{}
	for range 4 {
		key, library := a.PlayKey(story, codestory.OwnedBy("ada")), a.LibraryKey("ada")
		user, ok := a.LibraryUser(library)
		if seen[key] || seen[library] || user != "ada" || !ok {
			t.Fatalf("key %q, library %q of %q, %t", key, library, user, ok)
		}
		seen[key], seen[library] = true, true
		others := [...]string{a.PlayKey(other, codestory.OwnedBy("ada")), a.LibraryKey("bob"), string(a.LinkKey())}
		if err := errors.Join(a.RotatePlayKey(story), a.RotateLibraryKey("ada")); err != nil {
			t.Fatal(err)
		}
		if _, ok := a.LibraryUser(library); ok {
			t.Error("a replaced KEY still opens the library")
		}
		if others != [...]string{a.PlayKey(other, codestory.OwnedBy("ada")), a.LibraryKey("bob"), string(a.LinkKey())} {
			t.Error("others' keys changed")
		}
	}
	before := [...]string{a.PlayKey(story, codestory.OwnedBy("ada")), a.PlayKey(other, codestory.OwnedBy("ada")), a.LibraryKey("ada")}
	beside := func() [3]string {
		return [...]string{a.PlayKey(story, codestory.OwnedBy("")), a.PlayKey(story, codestory.Owner{}), a.LibraryKey("bob")}
	}
	others := beside()
	if err := a.ReplaceKeys("ada"); err != nil {
		t.Fatal(err)
	}
	key, library := a.PlayKey(story, codestory.OwnedBy("ada")), a.LibraryKey("ada")
	if before[0] == key || before[1] == a.PlayKey(other, codestory.OwnedBy("ada")) || before[2] == library {
		t.Error("a KEY of the user was not replaced")
	}
	if others != beside() {
		t.Error("a KEY of another user was replaced")
	}
	a = open(t, dir)
	if a.PlayKey(story, codestory.OwnedBy("ada")) != key || a.LibraryKey("ada") != library {
		t.Error("keys changed with a restart")
	}
}

// A KEY is not in force that is not on disk, and one that could not be replaced stays.
func TestKeyThatCannotBeReplaced(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	a := open(t, dir)
	key := a.PlayKey("a", codestory.OwnedBy("ada"))
	if err := os.Rename(dir, dir+" away"); err != nil {
		t.Fatal(err)
	}
	if err := a.RotatePlayKey("a"); err == nil || a.PlayKey("a", codestory.OwnedBy("ada")) != key {
		t.Errorf("got %v, and the key changed: %t", err, a.PlayKey("a", codestory.OwnedBy("ada")) != key)
	}
}

func TestLibraryKeys(t *testing.T) {
	t.Parallel()
	a := open(t, t.TempDir())
	for _, user := range []string{"", "ada", " ", "a b", "ada\x00", "é", strings.Repeat("x", 300)} {
		key := a.LibraryKey(user)
		if got, ok := a.LibraryUser(key); got != user || !ok || user != "" && strings.Contains(key, user) {
			t.Errorf("%q: key %q is of %q, %t", user, key, got, ok)
		}
	}
	key := a.LibraryKey("ada")
	for i := range key {
		forged := []byte(key)
		forged[i] = map[bool]byte{true: 'B', false: 'A'}[forged[i] == 'A']
		if user, ok := a.LibraryUser(string(forged)); ok {
			t.Errorf("%q opens the library of %q", forged, user)
		}
	}
	for _, bad := range []string{"", "x", key + "=", key[:21], a.PlayKey("a", codestory.OwnedBy("ada")), " " + key,
		key + "\n", "\r\n" + key, key[:5] + "\n" + key[5:], key[:5] + "\r" + key[5:]} {
		if _, ok := a.LibraryUser(bad); ok {
			t.Errorf("%q opens a library", bad)
		}
	}
}

func FuzzLibraryUser(f *testing.F) {
	a, err := access.Open(f.TempDir(), nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(a.LibraryKey(""))
	f.Add(a.LibraryKey("ada"))
	f.Add("")
	f.Fuzz(func(t *testing.T, key string) {
		if user, ok := a.LibraryUser(key); ok && a.LibraryKey(user) != key {
			t.Fatalf("%q opens the library of %q, whose key is %q", key, user, a.LibraryKey(user))
		}
	})
}

// A story's KEY is another for each owner, and for one that is not known, and each is told to be of that story.
func TestPlayKeyOfAnOwner(t *testing.T) {
	t.Parallel()
	a := open(t, t.TempDir())
	const story, other = "3f0e8a52-6c1b-4d7e-9a34-5b2c8d917e06", "b81d4f60-27a9-4c05-8e6f-d3a17c5902be"
	seen := map[string]string{}
	owners := []codestory.Owner{{}}
	for _, user := range []string{"", "=", "==", "ada", "=ada", " ", "null", "?"} {
		owners = append(owners, codestory.OwnedBy(user))
	}
	for round := range 2 {
		for _, owner := range owners {
			for _, id := range []codestory.StoryID{story, other} {
				key := a.PlayKey(id, owner)
				if before, ok := seen[key]; ok && round == 0 || ok && id == story {
					t.Errorf("%s of %q has the KEY of %s", id, owner.Text(), before)
				}
				seen[key] = fmt.Sprintf("%s of %q", id, owner.Text())
				if !a.PlayKeyOf(id, key) || a.PlayKeyOf(story, key) != (id == story) {
					t.Errorf("the KEY of %s is not told to be one of it", id)
				}
				for _, bad := range []string{"", key[1:], key + "A", key + "=", " " + key, key[:10], strings.ToLower(key)} {
					if a.PlayKeyOf(id, bad) {
						t.Errorf("%q is taken for a KEY of %s", bad, id)
					}
				}
			}
		}
		old := a.PlayKey(story, codestory.OwnedBy("ada"))
		if err := a.RotatePlayKey(story); err != nil {
			t.Fatal(err)
		}
		if a.PlayKeyOf(story, old) {
			t.Error("a KEY that was replaced is told to be one of the story")
		}
	}
}
