package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/remote/remotetest"
)

// asDaemon makes the test binary behave as codestoryd, so that a test can start one and kill it.
const asDaemon = "CODESTORYD_TEST_AS_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asDaemon) != "" || len(os.Args) > 1 && os.Args[1] == checkCommandName { // see checker
		main()
		return
	}
	testscript.Main(m, map[string]func(){"codestoryd": main})
}

func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("XDG_CONFIG_HOME", filepath.Join(env.WorkDir, "config"))
			env.Setenv("XDG_DATA_HOME", filepath.Join(env.WorkDir, "share"))
			env.Setenv("LOCALAPPDATA", filepath.Join(env.WorkDir, "share"))
			env.Setenv("AppData", filepath.Join(env.WorkDir, "config"))
			env.Setenv("CODESTORYD_LISTEN", "127.0.0.1:0")
			env.Setenv("AWS_EC2_METADATA_DISABLED", "true") // the network of a cloud, if this runs in one
			return nil
		},
	})
}

const (
	longest = 90 * time.Second // for what has to happen in seconds; these machines are slow and shared
	story   = codestory.StoryID("5b1f0c3a-90d2-4f6e-8a7b-1c2d3e4f5a6b")
	another = codestory.StoryID("c0ffee00-1111-4222-8333-444455556666")
)

// machine is where a daemon runs: its directories and settings, which outlive it.
type machine struct {
	t            *testing.T
	dir, dataDir string
	env          []string
	args         []string // of run, after those that every machine has
	running      *running // nil while it is stopped
}

// running is one process.
type running struct {
	cmd  *exec.Cmd
	url  string
	said chan string // its first line
	exit chan error
	log  *syncBuffer
}

func newMachine(t *testing.T, env ...string) *machine {
	m := &machine{t: t, dir: t.TempDir(), dataDir: t.TempDir(), env: env}
	t.Cleanup(func() {
		if m.running != nil {
			m.kill()
		}
	})
	return m
}

// stored are the settings of a bucket.
func stored(server *remotetest.MinIO, endpoint, bucket string) []string {
	return []string{
		"S3_BUCKET=" + bucket, "S3_ENDPOINT_URL=" + endpoint,
		"AWS_ACCESS_KEY_ID=" + server.AccessKey, "AWS_SECRET_ACCESS_KEY=" + server.SecretKey,
	}
}

// start starts the daemon and returns once it is ready.
func (m *machine) start() {
	m.t.Helper()
	r := m.launch()
	line := <-r.said
	url, ready := strings.CutPrefix(strings.TrimSpace(line), "codestoryd ready ")
	if !ready {
		m.t.Fatalf("the daemon is not ready: %q\n%s", line, r.log)
	}
	r.url = url
}

// launch starts the daemon and does not wait for it.
func (m *machine) launch() *running {
	m.t.Helper()
	r := &running{said: make(chan string, 1), exit: make(chan error, 1), log: &syncBuffer{}}
	args := append([]string{"run", "--dir", m.dir, "--data-dir", m.dataDir, "--listen", "127.0.0.1:0"}, m.args...)
	r.cmd = exec.Command(os.Args[0], args...)
	r.cmd.Env = append([]string{asDaemon + "=1", "HOME=" + m.dataDir, "PATH=" + os.Getenv("PATH")}, m.env...)
	r.cmd.Stderr = r.log
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		m.t.Fatal(err)
	}
	if err := r.cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	go func() {
		line, _ := bufio.NewReader(out).ReadString('\n')
		r.said <- line
		r.exit <- r.cmd.Wait()
	}()
	m.running = r
	return r
}

// kill kills the daemon as kill -9 does.
func (m *machine) kill() {
	_ = m.running.cmd.Process.Kill()
	<-m.running.exit
	m.logOnFailure()
}

// stop asks the daemon to end and returns how it did.
func (m *machine) stop() error {
	m.t.Helper()
	if err := m.running.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		m.t.Fatal(err)
	}
	defer m.logOnFailure()
	select {
	case err := <-m.running.exit:
		return err
	case <-time.After(15 * time.Second):
		m.kill()
		return errors.New("still running 15 s after SIGTERM")
	}
}

func (m *machine) logOnFailure() {
	if m.t.Failed() {
		m.t.Logf("the daemon's log:\n%s", m.running.log)
	}
	m.running = nil
}

// get asks the API with the owner's token and decodes the answer.
func (m *machine) get(path string, answer any) (status int) {
	m.t.Helper()
	return m.ask(http.MethodGet, path, answer)
}

// post tells the API to do something, with the owner's token.
func (m *machine) post(path string) (status int) {
	m.t.Helper()
	return m.ask(http.MethodPost, path, nil)
}

func (m *machine) ask(method, path string, answer any) (status int) {
	m.t.Helper()
	token, err := os.ReadFile(filepath.Join(m.dataDir, "token"))
	if err != nil {
		m.t.Fatal(err)
	}
	req, err := http.NewRequest(method, m.running.url+path, nil)
	if err != nil {
		m.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	resp, body := m.do(req)
	if resp.StatusCode == http.StatusOK && answer != nil {
		if err := json.Unmarshal(body, answer); err != nil {
			m.t.Fatalf("%s: %v in %s", path, err, body)
		}
	}
	return resp.StatusCode
}

// do sends a request and follows no redirect.
func (m *machine) do(req *http.Request) (*http.Response, []byte) {
	m.t.Helper()
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		m.t.Fatalf("%s: %v", req.URL.Path, err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		m.t.Fatal(err)
	}
	return resp, body
}

// fetch gets a URL without any header.
func (m *machine) fetch(url string) (*http.Response, []byte) {
	m.t.Helper()
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		m.t.Fatal(err)
	}
	return m.do(req)
}

func (m *machine) status() (s codestory.Status) {
	m.t.Helper()
	if code := m.get("/api/status", &s); code != http.StatusOK {
		m.t.Fatalf("status: %d", code)
	}
	return s
}

// await polls the status until ok.
func (m *machine) await(what string, ok func(codestory.Status) bool) codestory.Status {
	m.t.Helper()
	return m.awaitFor(longest, what, ok)
}

func (m *machine) awaitFor(longest time.Duration, what string, ok func(codestory.Status) bool) codestory.Status {
	m.t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(longest); ; <-tick.C {
		s := m.status()
		if ok(s) {
			return s
		}
		if time.Now().After(deadline) {
			m.t.Fatalf("waited %s in vain for %s: %+v", longest, what, s)
		}
	}
}

func (m *machine) awaitSynced(files int) {
	m.t.Helper()
	m.await("all files to be synced", func(s codestory.Status) bool { return s.Synced.Files == int64(files) })
}

// write writes a file as a generator does that knows no temporary names.
func (m *machine) write(path codestory.Path, content []byte) {
	m.t.Helper()
	name := filepath.Join(m.dir, filepath.FromSlash(string(path)))
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(name, content, 0o666); err != nil {
		m.t.Fatal(err)
	}
}

// files are those of the output directory, by key.
func (m *machine) files() map[string]string {
	m.t.Helper()
	files := map[string]string{}
	tree := os.DirFS(m.dir)
	err := fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		b, err := fs.ReadFile(tree, name)
		files[codestory.Path(name).Key()] = string(b)
		return err
	})
	if err != nil {
		m.t.Fatal(err)
	}
	return files
}

// syncBuffer is a buffer that may be read while a process writes it.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
