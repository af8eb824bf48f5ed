package remotetest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// minioVersion is the MinIO server that tests start: the head of its last public branch. Upstream is archived and
// publishes no binaries or images any more, but the Go module proxy keeps the module, so this is a real S3 server
// that every machine with Go can have, the same everywhere, without Docker. It is pinned because the suite leans on
// its behaviour, and because nothing newer is to be expected.
const minioVersion = "v0.0.0-20260212201848-7aac2a2c5b7c"

// minioBinary returns the MinIO server in the user's cache, built where it is not there yet. That takes minutes, once
// for all packages: they wait for each other at a file lock.
func minioBinary(t testing.TB) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatalf("no place to keep a built MinIO, set HOME or XDG_CACHE_HOME: %v", err)
	}
	dir := filepath.Join(cache, "codestoryd-test", "minio-"+minioVersion)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatalf("making a place to keep a built MinIO: %v", err)
	}
	binary := filepath.Join(dir, "minio")
	if runtime.GOOS == "windows" {
		binary += ".exe"
	}
	if exists(t, binary) {
		return binary
	}
	unlock, err := lockFile(filepath.Join(dir, "lock"))
	if err != nil {
		t.Fatalf("waiting for whoever builds MinIO: %v", err)
	}
	defer unlock()
	if !exists(t, binary) {
		t.Logf("building MinIO %s into %s, once", minioVersion, dir)
		if err := buildMinIO(t.Context(), binary); err != nil {
			t.Fatalf("a real MinIO is needed and cannot be built: %v", err)
		}
	}
	return binary
}

func exists(t testing.TB, path string) bool {
	t.Helper()
	_, err := os.Stat(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return err == nil
}

// buildMinIO makes the binary appear whole: go install works in a folder beside it.
func buildMinIO(ctx context.Context, binary string) error {
	work, err := os.MkdirTemp(filepath.Dir(binary), "build-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	cmd := exec.CommandContext(ctx, "go", "install", "github.com/minio/minio@"+minioVersion)
	cmd.Dir = work
	// What belongs to the build of the tests is not for that of the server: flags, a workspace, another platform.
	cmd.Env = append(withoutEnv(os.Environ(), "GOFLAGS", "GOWORK", "GOOS", "GOARCH"), "GOWORK=off", "GOBIN="+work)
	endsWithParent(cmd)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	return os.Rename(filepath.Join(work, filepath.Base(binary)), binary)
}

func withoutEnv(env []string, names ...string) []string {
	var kept []string
	for _, setting := range env {
		name, _, _ := strings.Cut(setting, "=")
		drop := false
		for _, n := range names {
			drop = drop || n == name
		}
		if !drop {
			kept = append(kept, setting)
		}
	}
	return kept
}
