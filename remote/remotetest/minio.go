package remotetest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
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
	client  *minio.Client
	running *process // nil while it is stopped
}

type process struct {
	cmd    *exec.Cmd
	exited chan struct{} // closed once it has ended
}

// MinIOOptions are what a test may want of the server. The zero value is a plain one.
type MinIOOptions struct {
	Env []string // more settings, as NAME=value
}

// StartMinIO starts a server and returns once it answers. It is built where this machine does not have it yet. The
// server is killed when the test ends, and its log is shown where the test has failed.
func StartMinIO(t testing.TB, opts MinIOOptions) *MinIO {
	t.Helper()
	m := &MinIO{AccessKey: "test-access", SecretKey: "test-secret-key", binary: minioBinary(t), dir: t.TempDir()}
	m.env = append(withoutEnv(os.Environ(), "HOME"),
		"HOME="+m.dir, "MINIO_ROOT_USER="+m.AccessKey, "MINIO_ROOT_PASSWORD="+m.SecretKey,
		"MINIO_BROWSER=off", "MINIO_UPDATE=off", "MINIO_CALLHOME_ENABLE=off")
	m.env = append(m.env, opts.Env...)
	t.Cleanup(func() {
		m.Stop()
		if t.Failed() {
			log, _ := os.ReadFile(m.logFile())
			t.Logf("the log of MinIO at %s:\n%s", m.Endpoint, log)
		}
	})
	// Somebody else may take the port in between: take another one then.
	for attempt := 1; ; attempt++ {
		m.address = freeAddress(t)
		m.Endpoint = "http://" + m.address
		err := m.start(t.Context())
		if err == nil {
			break
		}
		if attempt == 5 {
			t.Fatalf("starting MinIO: %v", err)
		}
	}
	m.client = m.newClient(t)
	return m
}

func freeAddress(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
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

func (m *MinIO) newClient(t testing.TB) *minio.Client {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	endpoint, err := url.Parse(m.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	client, err := minio.New(endpoint.Host, &minio.Options{
		Creds:     credentials.NewStaticV4(m.AccessKey, m.SecretKey, ""),
		Region:    "us-east-1",
		Transport: transport,
	})
	if err != nil {
		t.Fatal(err)
	}
	return client
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
