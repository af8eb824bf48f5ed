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
)

// Program is a command of another project: a server to test against, or a client to be measured beside. It is built
// from its Go module, so that every machine with Go can have it, the same everywhere, without Docker.
type Program struct {
	Name    string // of the binary
	Package string // that go install builds
	Version string // of its module
}

// Install returns the program's binary in the user's cache, built where it is not there yet. That may take minutes, once
// for all who want it: they wait for each other at a file lock. say is told of a build; it may be nil.
func (p Program) Install(ctx context.Context, say func(format string, args ...any)) (binary string, err error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no place to keep a built %s, set HOME or XDG_CACHE_HOME: %w", p.Name, err)
	}
	dir := filepath.Join(cache, "codestoryd-test", p.Name+"-"+p.Version)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("making a place to keep a built %s: %w", p.Name, err)
	}
	binary = filepath.Join(dir, p.Name)
	if runtime.GOOS == "windows" {
		binary += ".exe"
	}
	if there, err := exists(binary); there || err != nil {
		return binary, err
	}
	unlock, err := lockFile(filepath.Join(dir, "lock"))
	if err != nil {
		return "", fmt.Errorf("waiting for whoever builds %s: %w", p.Name, err)
	}
	defer unlock()
	there, err := exists(binary)
	if there || err != nil {
		return binary, err
	}
	if say != nil {
		say("building %s %s into %s, once", p.Name, p.Version, dir)
	}
	if err := p.build(ctx, binary); err != nil {
		return "", fmt.Errorf("building %s: %w", p.Name, err)
	}
	return binary, nil
}

func exists(path string) (bool, error) {
	_, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// build makes the binary appear whole, from a module of its own beside it that requires the program's. Unlike go install
// that needs no list of all versions, which not every module proxy gives.
func (p Program) build(ctx context.Context, binary string) error {
	work, err := os.MkdirTemp(filepath.Dir(binary), "build-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	built := filepath.Join(work, filepath.Base(binary))
	for _, args := range [][]string{
		{"mod", "init", "build"},
		{"mod", "edit", "-require=" + p.module() + "@" + p.Version},
		{"build", "-mod=mod", "-o", built, p.Package},
	} {
		cmd := exec.CommandContext(ctx, "go", args...)
		cmd.Dir = work
		// What belongs to the build of the tests is not for that of the program: flags, a workspace, another platform.
		cmd.Env = append(withoutEnv(os.Environ(), "GOFLAGS", "GOWORK", "GOOS", "GOARCH"), "GOWORK=off")
		endsWithParent(cmd)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, out)
		}
	}
	return os.Rename(built, binary)
}

// module is the path of the module that the package is in, which is at the root of it or below cmd.
func (p Program) module() string {
	module, _, _ := strings.Cut(p.Package, "/cmd/")
	return module
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
