package access_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/codestory/codestoryd/daemon/access"
)

// A file that is no regular one neither hangs the start nor is followed to what somebody else chose.
func TestOddFilesAreRefused(t *testing.T) {
	t.Parallel()
	elsewhere := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(elsewhere, []byte(strings.Repeat("x", 43)), 0o644); err != nil {
		t.Fatal(err)
	}
	for kind, place := range map[string]func(path string) error{
		"pipe":        func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"directory":   func(path string) error { return os.Mkdir(path, 0o700) },
		"link":        func(path string) error { return os.Symlink(elsewhere, path) },
		"broken link": func(path string) error { return os.Symlink(elsewhere+" not", path) },
		"device":      func(path string) error { return os.Symlink("/dev/zero", path) },
		"large":       func(path string) error { return errors.Join(os.WriteFile(path, nil, 0o600), os.Truncate(path, 65<<20)) },
	} {
		for _, name := range []string{"token", "link.key", "tokens.json", "keys.json"} {
			path := filepath.Join(t.TempDir(), name)
			if err := place(path); err != nil {
				t.Fatal(err)
			}
			if _, err := access.Open(filepath.Dir(path), nil); err == nil || !strings.Contains(err.Error(), path) {
				t.Errorf("%s as a %s: %v", name, kind, err)
			}
			if name != "token" {
				continue
			}
			if _, err := access.OwnerToken(filepath.Dir(path)); err == nil || !strings.Contains(err.Error(), path) {
				t.Errorf("%s as a %s, by a command: %v", name, kind, err)
			}
		}
	}
	if info, err := os.Stat(elsewhere); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("what a link leads to was changed: %v, %v", info.Mode(), err)
	}
}

// Files of another user are told, not used in silence.
func TestForeignFilesAreTold(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	dir := t.TempDir()
	database := filepath.Join(dir, "codestoryd.db")
	if err := os.WriteFile(database, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{os.Chmod(database, 0o666), os.Chown(database, 65534, 65534)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		a := newEnv(t, dir)
		if got := a.codes(); got != "data_dir_foreign:codestoryd.db data_dir_open:codestoryd.db" {
			t.Errorf("problems: %q", got)
		}
	})
}
