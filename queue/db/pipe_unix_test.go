//go:build unix

package db

import (
	"strings"
	"syscall"
	"testing"
)

// TestOpenPipe: a pipe in the place of the database or of its backup keeps nobody waiting.
func TestOpenPipe(t *testing.T) {
	t.Parallel()
	path := t.TempDir() + "/db"
	must(t, syscall.Mkfifo(path, 0o600))
	for _, opts := range []Options{{}, {ReadOnly: true}, checked()} {
		if _, err := Open(path, layout, opts); err == nil || !strings.Contains(err.Error(), path+": it is no regular file") {
			t.Errorf("with %+v the error is %v", opts, err)
		}
	}
	path = t.TempDir() + "/db"
	must(t, syscall.Mkfifo(path+backupSuffix, 0o600))
	if got := openAt(t, path, checked()).Opened(); !got.New || !got.Backup.IsZero() {
		t.Errorf("with a pipe as its backup: %+v", got)
	}
}
