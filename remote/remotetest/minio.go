package remotetest

import (
	"context"
	"os"
	"path/filepath"
	"testing"
)

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
	return startForTest(t, minioServer, func(binary, dir string) *Server { return newMinIO(binary, dir, opts) })
}

// RunMinIO starts a server that keeps everything below dir, and returns once it answers. It is built where this machine
// does not have it yet. The caller closes it, and removes dir.
func RunMinIO(ctx context.Context, dir string, opts MinIOOptions) (*MinIO, error) {
	binary, err := minioServer.Install(ctx, nil)
	if err != nil {
		return nil, err
	}
	s := newMinIO(binary, dir, opts)
	if err := s.run(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

func newMinIO(binary, dir string, opts MinIOOptions) *Server {
	s := &Server{
		AccessKey: "test-access", SecretKey: "test-secret-key",
		name: "MinIO", binary: binary, dir: dir, live: "/minio/health/live",
		args: func(address string) []string {
			return []string{"server", "--address", address, "--certs-dir", filepath.Join(dir, "certs"), filepath.Join(dir, "data")}
		},
	}
	s.env = append(withoutEnv(os.Environ(), "HOME"),
		"HOME="+dir, "MINIO_ROOT_USER="+s.AccessKey, "MINIO_ROOT_PASSWORD="+s.SecretKey,
		"MINIO_BROWSER=off", "MINIO_UPDATE=off", "MINIO_CALLHOME_ENABLE=off")
	s.env = append(s.env, opts.Env...)
	return s
}
