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

// Server is a real S3 server, on 127.0.0.1 and with data of its own.
type Server struct {
	Endpoint  string // its URL, as S3_ENDPOINT_URL takes it
	AccessKey string
	SecretKey string

	name    string // for people
	binary  string
	args    func(address string) []string
	live    string // the path that it answers with 200 once its storage is there
	dir     string
	env     []string
	address string
	running *process // nil while it is stopped

	client    *minio.Client
	transport http.Transport // of client
}

// MinIO is the Server that most tests start.
type MinIO = Server

type process struct {
	cmd    *exec.Cmd
	exited chan struct{} // closed once it has ended
}

// startForTest starts the program as the server that made describes, over a folder of the test. It is killed when the
// test ends, and its log is shown where that has failed.
func startForTest(t testing.TB, program Program, made func(binary, dir string) *Server) *Server {
	t.Helper()
	if testing.Short() {
		t.Skipf("-short: no test starts a real %s", program.Name)
	}
	binary, err := program.Install(t.Context(), t.Logf)
	if err != nil {
		t.Fatalf("a real %s is needed: %v", program.Name, err)
	}
	s := made(binary, t.TempDir())
	t.Cleanup(func() {
		s.Close()
		if t.Failed() {
			log, _ := os.ReadFile(s.logFile())
			t.Logf("the log of %s at %s:\n%s", s.name, s.Endpoint, log)
		}
	})
	if err := s.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// run starts the server for the first time and returns once it answers.
func (s *Server) run(ctx context.Context) error {
	// Somebody else may take the port in between: take another one then.
	for attempt := 1; ; attempt++ {
		var err error
		if s.address, err = freeAddress(); err == nil {
			s.Endpoint = "http://" + s.address
			err = s.start(ctx)
		}
		if err == nil {
			break
		}
		if attempt == 5 {
			return fmt.Errorf("starting %s: %w", s.name, err)
		}
	}
	var err error
	if s.client, err = s.newClient(); err != nil {
		s.Stop()
	}
	return err
}

// Close kills the server and ends the connections of its client.
func (s *Server) Close() {
	s.transport.CloseIdleConnections()
	s.Stop()
}

func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}

func (s *Server) logFile() string { return filepath.Join(s.dir, "log") }

// Start brings a stopped server back, at the same address and with the same data.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	if err := s.start(t.Context()); err != nil {
		t.Fatalf("starting %s again: %v", s.name, err)
	}
}

// Stop kills the server, as a power cut does, and waits until it is gone.
func (s *Server) Stop() {
	if s.running == nil {
		return
	}
	_ = s.running.cmd.Process.Kill() // an error means that it has already ended
	<-s.running.exited
	s.running = nil
}

func (s *Server) start(ctx context.Context) error {
	log, err := os.OpenFile(s.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(s.binary, s.args(s.address)...)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = s.env, s.dir, log, log
	endsWithParent(cmd)
	if err := cmd.Start(); err != nil {
		return err
	}
	exited := make(chan struct{})
	s.running = &process{cmd, exited}
	go func() {
		defer close(exited)
		_ = cmd.Wait() // killed, or its log says why
	}()
	if err := s.waitUntilLive(ctx); err != nil {
		s.Stop()
		return err
	}
	return nil
}

// waitUntilLive returns once the server answers for its storage.
func (s *Server) waitUntilLive(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-s.running.exited:
			return errors.New("the server ended; its log says why")
		case <-ctx.Done():
			return fmt.Errorf("no answer from %s: %w", s.Endpoint, ctx.Err())
		case <-tick.C:
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Endpoint+s.live, nil)
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
func (s *Server) Client() *minio.Client { return s.client }

func (s *Server) newClient() (*minio.Client, error) {
	return minio.New(s.address, &minio.Options{
		Creds:     credentials.NewStaticV4(s.AccessKey, s.SecretKey, ""),
		Region:    "us-east-1",
		Transport: &s.transport,
	})
}

// Bucket makes a bucket with a name of its own.
func (s *Server) Bucket(t testing.TB) string {
	t.Helper()
	name := "test-" + strings.ToLower(rand.Text())
	if err := s.client.MakeBucket(t.Context(), name, minio.MakeBucketOptions{}); err != nil {
		t.Fatalf("making a bucket: %v", err)
	}
	return name
}
