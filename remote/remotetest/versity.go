package remotetest

import (
	"os"
	"path/filepath"
	"testing"
)

// versityServer is an S3 server of another house than MinIO, over a folder.
var versityServer = Program{"versitygw", "github.com/versity/versitygw/cmd/versitygw", "v1.8.0"}

// VersityOptions are what a test may want of the server. The zero value is a plain one.
type VersityOptions struct {
	Args []string // more flags of its posix backend
}

// StartVersity starts a versitygw, built where this machine does not have it yet, and returns once it answers. It is
// killed when the test ends, and its log is shown where that has failed.
func StartVersity(t testing.TB, opts VersityOptions) *Server {
	t.Helper()
	return startForTest(t, versityServer, func(binary, dir string) *Server {
		data := filepath.Join(dir, "data")
		if err := os.Mkdir(data, 0o755); err != nil {
			t.Fatal(err)
		}
		s := &Server{
			AccessKey: "test-access", SecretKey: "test-secret-key",
			name: "versitygw", binary: binary, dir: dir, live: "/health",
			args: func(address string) []string {
				args := []string{"--port", address, "--health", "/health", "--keep-alive", "--quiet", "posix"}
				return append(append(args, opts.Args...), data)
			},
		}
		s.env = append(withoutEnv(os.Environ(), "HOME"),
			"HOME="+dir, "ROOT_ACCESS_KEY="+s.AccessKey, "ROOT_SECRET_KEY="+s.SecretKey)
		return s
	})
}
