package main

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/codestory/codestoryd/daemon/access"
)

// invoke runs a command line in this process, as a program of its own would with no settings around it.
func invoke(t *testing.T, dataDir string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	env := map[string]string{
		"CODESTORYD_DATA_DIR": dataDir,
		"CODESTORYD_CONFIG":   filepath.Join(dataDir, "config.toml"),
		"CODESTORYD_LISTEN":   "127.0.0.1:0",
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	p := &program{soft: ctx, hard: ctx, getenv: func(name string) string { return env[name] }, stdout: &out, stderr: &errs}
	code = p.run(args)
	return code, out.String(), errs.String()
}

func TestExitCodes(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })

	config := func(t *testing.T, dataDir string) {
		if err := os.WriteFile(filepath.Join(dataDir, "config.toml"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	database := func(content []byte) func(t *testing.T, dataDir string) {
		return func(t *testing.T, dataDir string) {
			config(t, dataDir)
			if err := os.WriteFile(filepath.Join(dataDir, databaseFile), content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, tc := range []struct {
		name    string
		prepare func(t *testing.T, dataDir string)
		args    []string
		want    int
		says    string
	}{
		{"version", config, []string{"version"}, exitDone, ""},
		{"unknown flag", config, []string{"run", "--nope"}, exitUsage, "unknown flag"},
		{"unknown command", config, []string{"nope"}, exitUsage, "unknown command"},
		{"missing argument", config, []string{"link"}, exitUsage, "--library"},
		{"bad setting", config, []string{"run", "--remote", "ftp"}, exitUsage, "use local, s3"},
		{"unknown rclone remote", config, []string{"run", "--remote", "rclone:nowhere:x"}, exitUsage, "nowhere"},
		{"directory is a file", config, []string{"run", "--dir", "exit_test.go"}, exitUsage, "output directory"},
		{"port in use", config, []string{"run", "--dir", t.TempDir(), "--listen", taken.Addr().String()}, exitFailed, "--listen"},
		{"damaged database", database(bytes.Repeat([]byte("noise"), 10_000)), []string{"status"}, exitFailed, "codestoryd run sets"},
		{"empty database of another size", database([]byte("x")), []string{"queue", "ls"}, exitFailed, "codestoryd run sets"},
		{"daemon down", config, []string{"status"}, exitNotRunning, "not running"},
		{"link with the daemon down", config, []string{"link", string(story)}, exitNotRunning, "not running"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			dataDir := t.TempDir()
			tc.prepare(t, dataDir)
			before, _ := os.ReadFile(filepath.Join(dataDir, databaseFile))
			code, _, stderr := invoke(t, dataDir, tc.args...)
			if code != tc.want || !strings.Contains(stderr, tc.says) || strings.Count(stderr, "\n") > 1 {
				t.Errorf("exit code %d, want %d, with %q", code, tc.want, stderr)
			}
			if after, _ := os.ReadFile(filepath.Join(dataDir, databaseFile)); before != nil && !bytes.Equal(after, before) {
				t.Error("the database was changed")
			}
		})
	}
}

// A daemon that runs and has no room for a command is not taken for one that is down.
func TestBusyDaemon(t *testing.T) {
	t.Parallel()
	daemon := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = w.Write([]byte(`{"status": 503, "code": "busy", "detail": "too many requests"}`))
	}))
	t.Cleanup(daemon.Close)
	dataDir := t.TempDir()
	keys, err := access.Open(dataDir, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = keys.Close() })
	i := instance{PID: os.Getpid(), Address: daemon.Listener.Addr().String(), StartedAt: time.Now()}
	if err := errors.Join(writeInstance(dataDir, i), os.WriteFile(filepath.Join(dataDir, "config.toml"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"status"}, {"link", string(story)}} {
		if code, _, stderr := invoke(t, dataDir, args...); code != exitFailed || !strings.Contains(stderr, "busy") {
			t.Errorf("%v: exit code %d with %q", args, code, stderr)
		}
	}
}

// A second daemon on the same data is told who has it.
func TestLockedDatabase(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.start()
	if err := os.WriteFile(filepath.Join(m.dataDir, "config.toml"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	code, _, stderr := invoke(t, m.dataDir, "run", "--dir", t.TempDir())
	if code != exitFailed || !strings.Contains(stderr, "process "+strconv.Itoa(m.running.cmd.Process.Pid)) || strings.Count(stderr, "\n") != 1 {
		t.Errorf("exit code %d with %q", code, stderr)
	}
}
