package rclone

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	_ "github.com/rclone/rclone/backend/memory"
	"github.com/rclone/rclone/fs/config"
)

// rclone has one configuration for the process. So all tests share one, with a remote of its own for each kind, and
// keep apart by the path that they use on it; what needs another configuration runs in a process of its own.
const configFormat = `
[mem]
type = memory

[disk]
type = alias
remote = %[1]s/disk

[secret]
type = crypt
remote = %[1]s/secret
password = PmEONLjSPMXRl1QLBNSoRLfCXFPN7O8

[hashed]
type = hasher
remote = %[1]s/hashed
hashes = md5

[lost]
type = alias
remote = nowhere:path

[odd]
type = no-such-backend

[bucket]
type = s3

[typeless]
remote = disk:
`

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if task, ok := tasks[os.Getenv("CODESTORYD_TEST_TASK")]; ok {
		return task()
	}
	dir, err := os.MkdirTemp("", "rclone-test-*")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "rclone.conf")
	if err := os.WriteFile(path, fmt.Appendf(nil, configFormat, filepath.ToSlash(dir)), 0o600); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	os.Setenv("RCLONE_CONFIG", path)
	if err := config.SetCacheDir(filepath.Join(dir, "cache")); err != nil { // where hasher keeps its checksums
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}
