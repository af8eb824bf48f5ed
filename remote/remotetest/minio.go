package remotetest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// MinIO is a real MinIO server, on 127.0.0.1 and with data of its own, that lives as long as its test.
type MinIO struct {
	Endpoint  string // its URL, as S3_ENDPOINT_URL takes it
	AccessKey string
	SecretKey string

	binary  string
	dir     string
	env     []string
	address string
	running *process // nil while it is stopped

	client    *minio.Client
	transport http.Transport // of client
}

type process struct {
	cmd    *exec.Cmd
	exited chan struct{} // closed once it has ended
}

// MinIOOptions are what a test may want of the server. The zero value is a plain one.
type MinIOOptions struct {
	Env []string // more settings, as NAME=value
}

// minioServer is the MinIO that tests start: the head of its last public branch. Upstream is archived and publishes no
// binaries or images any more, but the Go module proxy keeps the module. It is pinned because the suite leans on its
// behaviour, and because nothing newer is to be expected.
var minioServer = Program{"minio", "github.com/minio/minio", "v0.0.0-20260212201848-7aac2a2c5b7c"}

// StartMinIO is RunMinIO for a test: the server is killed when it ends, and its log is shown where it has failed.
func StartMinIO(t testing.TB, opts MinIOOptions) *MinIO {
	t.Helper()
	binary, err := minioServer.Install(t.Context(), t.Logf)
	if err != nil {
		t.Fatalf("a real MinIO is needed: %v", err)
	}
	m, err := startMinIO(t.Context(), binary, t.TempDir(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		m.Close()
		if t.Failed() {
			log, _ := os.ReadFile(m.logFile())
			t.Logf("the log of MinIO at %s:\n%s", m.Endpoint, log)
		}
	})
	return m
}

// RunMinIO starts a server that keeps everything below dir, and returns once it answers. It is built where this machine
// does not have it yet. The caller closes it, and removes dir.
func RunMinIO(ctx context.Context, dir string, opts MinIOOptions) (*MinIO, error) {
	binary, err := minioServer.Install(ctx, nil)
	if err != nil {
		return nil, err
	}
	return startMinIO(ctx, binary, dir, opts)
}

func startMinIO(ctx context.Context, binary, dir string, opts MinIOOptions) (*MinIO, error) {
	m := &MinIO{AccessKey: "test-access", SecretKey: "test-secret-key", binary: binary, dir: dir}
	m.env = append(withoutEnv(os.Environ(), "HOME"),
		"HOME="+m.dir, "MINIO_ROOT_USER="+m.AccessKey, "MINIO_ROOT_PASSWORD="+m.SecretKey,
		"MINIO_BROWSER=off", "MINIO_UPDATE=off", "MINIO_CALLHOME_ENABLE=off")
	m.env = append(m.env, opts.Env...)
	// Somebody else may take the port in between: take another one then.
	for attempt := 1; ; attempt++ {
		var err error
		if m.address, err = freeAddress(); err == nil {
			m.Endpoint = "http://" + m.address
			err = m.start(ctx)
		}
		if err == nil {
			break
		}
		if attempt == 5 {
			return nil, fmt.Errorf("starting MinIO: %w", err)
		}
	}
	var err error
	if m.client, err = m.newClient(); err != nil {
		m.Stop()
		return nil, err
	}
	return m, nil
}

// Close kills the server and ends the connections of its client.
func (m *MinIO) Close() {
	m.transport.CloseIdleConnections()
	m.Stop()
}

func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}

func (m *MinIO) logFile() string { return filepath.Join(m.dir, "log") }

// Start brings a stopped server back, at the same address and with the same data.
func (m *MinIO) Start(t testing.TB) {
	t.Helper()
	if err := m.start(t.Context()); err != nil {
		t.Fatalf("starting MinIO again: %v", err)
	}
}

// Stop kills the server, as a power cut does, and waits until it is gone.
func (m *MinIO) Stop() {
	if m.running == nil {
		return
	}
	_ = m.running.cmd.Process.Kill() // an error means that it has already ended
	<-m.running.exited
	m.running = nil
}

func (m *MinIO) start(ctx context.Context) error {
	log, err := os.OpenFile(m.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(m.binary, "server", "--address", m.address, "--certs-dir", filepath.Join(m.dir, "certs"),
		filepath.Join(m.dir, "data"))
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = m.env, m.dir, log, log
	endsWithParent(cmd)
	if err := cmd.Start(); err != nil {
		return err
	}
	exited := make(chan struct{})
	m.running = &process{cmd, exited}
	go func() {
		defer close(exited)
		_ = cmd.Wait() // killed, or its log says why
	}()
	if err := m.waitUntilLive(ctx); err != nil {
		m.Stop()
		return err
	}
	return nil
}

// waitUntilLive returns once the server answers for its storage.
func (m *MinIO) waitUntilLive(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-m.running.exited:
			return errors.New("the server ended; its log says why")
		case <-ctx.Done():
			return fmt.Errorf("no answer from %s: %w", m.Endpoint, ctx.Err())
		case <-tick.C:
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, m.Endpoint+"/minio/health/live", nil)
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err != nil {
			continue
		}
		resp.Body.Close()
		if resp.StatusCode == http.StatusOK && resp.Header.Get("X-Minio-Server-Status") == "" {
			return nil
		}
	}
}

// Client is another S3 client, to look at the server from outside.
func (m *MinIO) Client() *minio.Client { return m.client }

func (m *MinIO) newClient() (*minio.Client, error) {
	return minio.New(m.address, &minio.Options{
		Creds:     credentials.NewStaticV4(m.AccessKey, m.SecretKey, ""),
		Region:    "us-east-1",
		Transport: &m.transport,
	})
}

// Bucket makes a bucket with a name of its own.
func (m *MinIO) Bucket(t testing.TB) string {
	t.Helper()
	name := "test-" + strings.ToLower(rand.Text())
	if err := m.client.MakeBucket(t.Context(), name, minio.MakeBucketOptions{}); err != nil {
		t.Fatalf("making a bucket: %v", err)
	}
	return name
}
