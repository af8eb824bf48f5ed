//go:build unix

package atomicfile_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/codestory/codestoryd/internal/atomicfile"
)

func TestReadTakesSmallRegularFilesOnly(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	socket, err := net.Listen("unix", at("socket"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = socket.Close() })
	for _, err := range []error{
		os.WriteFile(at("file"), []byte("0123456789"), 0o600), os.WriteFile(at("large"), []byte("0123456789a"), 0o600),
		syscall.Mkfifo(at("pipe"), 0o600), os.Mkdir(at("directory"), 0o700),
		os.Symlink(at("file"), at("link")), os.Symlink("/dev/zero", at("device")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if b, err := atomicfile.Read(at("file"), 10); string(b) != "0123456789" || err != nil {
		t.Errorf("a file: %q, %v", b, err)
	}
	for name, says := range map[string]string{
		"large": "more than 10 bytes", "pipe": "no regular file", "directory": "no regular file", "link": "symbolic link",
		"device": "symbolic link", "socket": at("socket"), "absent": "no such file",
	} {
		if b, err := atomicfile.Read(at(name), 10); err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), at(name)) {
			t.Errorf("%s: %q, %v, want an error that says %q", name, b, err, says)
		}
	}
	if b, err := atomicfile.Read("/dev/zero", 10); err == nil || !strings.Contains(err.Error(), "no regular file") {
		t.Errorf("a device: %q, %v", b, err)
	}
}
