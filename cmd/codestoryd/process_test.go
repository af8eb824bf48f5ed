package main

import (
	"bufio"
	"bytes"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/daemon/access"
	"github.com/codestory/codestoryd/queue"
)

// While uploads under way finish, local files play, status answers, and other commands say that the daemon stops.
func TestDrain(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.args = []string{"--bwlimit", "1k"} // the upload takes longer than the drain
	m.write(codestory.Path(story+"/audio/story.mp3"), bytes.Repeat([]byte("sound"), 20_000))
	m.start()
	m.await("the upload to begin", func(s codestory.Status) bool { return len(s.Uploads) == 1 })
	var link struct {
		URL     string `json:"url"`
		PlayURL string `json:"play_url"`
	}
	if code := m.get("/api/storage/stories/"+string(story)+"/audio", &link); code != http.StatusOK {
		t.Fatalf("link: %d", code)
	}
	if err := m.running.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if s := m.await("the daemon to say that it stops", func(s codestory.Status) bool { return hasProblem(s, "stopping") }); len(s.Uploads) != 1 {
		t.Errorf("uploads under way: %+v", s.Uploads)
	}
	for _, url := range []string{link.URL, link.PlayURL} {
		if resp, body := m.fetch(url); resp.StatusCode != http.StatusOK || len(body) != 100_000 {
			t.Errorf("while the daemon drains: %s, %d bytes", resp.Status, len(body))
		}
	}
	if code, stdout, stderr := m.command("status"); code != exitDone || !strings.Contains(stdout, "stopping at 127.0.0.1") || !strings.Contains(stdout, "upload ") {
		t.Errorf("status: exit code %d, %s%s", code, stdout, stderr)
	}
	if code, _, stderr := m.command("queue", "pause"); code != exitFailed || !strings.Contains(stderr, "stopping") {
		t.Errorf("queue pause: exit code %d, %s", code, stderr)
	}
	if err := <-m.running.exit; err != nil {
		t.Errorf("the daemon ended with %v", err)
	}
	m.logOnFailure()
	if code, _, _ := m.command("status"); code != exitNotRunning {
		t.Errorf("status after the end: exit code %d", code)
	}
}

// A daemon that has closed its port, and not yet the database, is stopping.
func TestStatusOfADaemonThatHasClosedItsPort(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	keys, err := access.Open(m.dataDir, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = keys.Close() })
	q, err := queue.Open(filepath.Join(m.dataDir, databaseFile), "", queue.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = q.Close() })
	port, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = port.Close()
	if err := writeInstance(m.dataDir, instance{PID: os.Getpid(), Address: port.Addr().String(), StartedAt: time.Now(), Stopping: true}); err != nil {
		t.Fatal(err)
	}
	if s := m.statusByCommand(); !s.Running || !hasProblem(s, "stopping") {
		t.Errorf("status: %+v", s)
	}
	if code, stdout, _ := m.command("status"); code != exitDone || !strings.Contains(stdout, "stopping at") || strings.Contains(stdout, "\nqueue") {
		t.Errorf("status: exit code %d, %s", code, stdout)
	}
	if code, _, stderr := m.command("queue", "ls"); code != exitFailed || !strings.Contains(stderr, "stopping") {
		t.Errorf("queue ls: exit code %d, %s", code, stderr)
	}
}

// SIGHUP reads the config file again, and ends nothing, also if the file is wrong by then.
func TestReload(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	file := filepath.Join(t.TempDir(), "config.toml")
	m.args = []string{"--config", file}
	reload := func(content, says string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if m.running == nil {
			m.start()
		} else if err := m.running.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		m.await(says, func(codestory.Status) bool { return strings.Contains(m.running.log.String(), says) })
	}
	reload("log-level = \"error\"\n", "")
	reload("log-level = \"debug\"\nbwlimit = \"1M\"\nconcurrency = 3\n", `applied="log-level=debug bwlimit=1M" needs_restart=concurrency`)
	reload("colour = 1\n", "not applied")
	reload("", `applied="log-level=info bwlimit=off"`)
	if err := m.stop(); err != nil {
		t.Errorf("the daemon ended with %v", err)
	}
}

// The daemon lives on if nobody reads its output any more.
func TestClosedLog(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	cmd := exec.CommandContext(t.Context(), os.Args[0], "run", "--dir", m.dir, "--data-dir", m.dataDir, "--listen", "127.0.0.1:0")
	cmd.Env = []string{asDaemon + "=1", "HOME=" + m.dataDir}
	log, logEnd, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = logEnd
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, _ := bufio.NewReader(out).ReadString('\n')
	url, ready := strings.CutPrefix(strings.TrimSpace(line), "codestoryd ready ")
	if !ready {
		t.Fatalf("the daemon is not ready: %q", line)
	}
	for _, f := range []interface{ Close() error }{out, log, logEnd} {
		_ = f.Close()
	}
	for range 3 {
		if err := cmd.Process.Signal(syscall.SIGHUP); err != nil { // each is a line of the log
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond) // signals that come at once are one
	}
	resp, err := http.Get(url + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the daemon ended with %v", err)
	}
}
