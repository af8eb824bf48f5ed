package rclone

import (
	"io"
	"os"
	"os/exec"
	"testing"

	codestory "github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/remote"
	"github.com/codestory/codestoryd/remote/remotetest"
)

const (
	story = codestory.KeyPrefix + "0f9619ff-8b86-4d01-b42d-00c04fc964ff/"
	key   = story + "audio/story.mp3"
	mp3   = "audio/mpeg"
)

func mustPut(t *testing.T, store remote.Store, key, data string) remote.Object {
	t.Helper()
	object, err := store.Put(t.Context(), key, remotetest.NewSource([]byte(data)), remote.PutOptions{ContentType: mp3})
	if err != nil {
		t.Fatal(err)
	}
	return object
}

func mustRead(t *testing.T, store remote.Store, key string) string {
	t.Helper()
	body, _, err := store.Open(t.Context(), key, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	data, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func write(t *testing.T, path, data string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(data), 0o666); err != nil {
		t.Fatal(err)
	}
}

// tasks are what a test runs in a process of its own: this test binary, with the task's name in the environment.
var tasks = map[string]func() int{"open a remote": openRemote}

// processFor makes the command that runs a task. It is killed at the end of the test.
func processFor(t *testing.T, task string, env ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(append(os.Environ(), "CODESTORYD_TEST_TASK="+task), env...)
	cmd.Stderr = os.Stderr
	return cmd
}
