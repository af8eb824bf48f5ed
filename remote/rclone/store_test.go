package rclone

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rclone/rclone/fs"
	"github.com/rclone/rclone/fs/config"
	"github.com/rclone/rclone/lib/atexit"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/remote"
	"github.com/codestory/codestoryd/remote/remotetest"
)

func TestNewSaysWhatToChange(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"":                      "NAME:PATH",
		"no-colon":              "NAME:PATH",
		"/a/path":               "NAME:PATH",
		"not/a:name":            "NAME:PATH",
		"unheard-of:path":       "rclone has no remote of the name unheard-of: add it to " + os.Getenv("RCLONE_CONFIG"),
		"typeless:path":         "rclone has no remote of the name typeless",
		"odd:path":              "-tags rclone_all",
		":no-such-backend:path": "-tags rclone_all",
		"bucket:path":           "use --remote s3",
	} {
		store, err := New(t.Context(), name, Options{})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v, %v, want one line with %q", name, store, err, want)
		}
	}
}

// TestRemoteOfNothing: that a remote stands for one that is not there is told when it is asked.
func TestRemoteOfNothing(t *testing.T) {
	t.Parallel()
	err := newStore(t, "lost:path").Check(t.Context())
	if e, ok := errors.AsType[*codestory.Error](err); !ok || e.State != codestory.RemoteMissing || !strings.Contains(e.Hint, "rclone config") {
		t.Errorf("check: %v, want it missing, and what to do", err)
	}
}

func TestInfo(t *testing.T) {
	t.Parallel()
	if got := newStore(t, "disk:some/path/").Info(); got != (remote.Info{Kind: "rclone", Endpoint: "disk:some/path"}) {
		t.Errorf("info %+v", got)
	}
	one := newStore(t, ":webdav,url='http://127.0.0.1:1/',pass=hunter2:some/path").Info()
	other := newStore(t, ":webdav,url='http://127.0.0.1:2/',pass=hunter2:some/path").Info()
	if one == other || strings.Contains(one.Endpoint, "hunter2") || !strings.HasSuffix(one.Endpoint, ":some/path") {
		t.Errorf("info %+v and %+v, want two names without the password", one, other)
	}
}

// openRemote says what New says of the remote mem:, in a process with a configuration of its own.
func openRemote() int {
	plain := "[mem]\ntype = memory\n"
	if path := os.Getenv("CODESTORYD_TEST_ENCRYPT"); path != "" {
		if err := encrypt(path, plain, "correct horse"); err != nil {
			fmt.Println(err)
			return 1
		}
	}
	store, err := New(context.Background(), "mem:x", Options{})
	if err == nil {
		err = store.Check(context.Background())
	}
	fmt.Println(err)
	return 0
}

func encrypt(path, plain, password string) error {
	if err := config.SetConfigPassword(password); err != nil {
		return err
	}
	defer config.ClearConfigPassword()
	var sealed bytes.Buffer
	if err := config.Encrypt(strings.NewReader(plain), &sealed); err != nil {
		return err
	}
	return os.WriteFile(path, sealed.Bytes(), 0o600)
}

func TestConfiguration(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "rclone.conf")
	for name, c := range map[string]struct {
		env  []string
		want string
	}{
		"encrypted, no password": {
			[]string{"CODESTORYD_TEST_ENCRYPT=" + path, "RCLONE_CONFIG=" + path, "RCLONE_CONFIG_PASS="},
			"reading rclone's configuration " + path + ": unable to decrypt configuration and not allowed to ask for password - set RCLONE_CONFIG_PASS",
		},
		"encrypted, wrong password": {
			[]string{"CODESTORYD_TEST_ENCRYPT=" + path + "2", "RCLONE_CONFIG=" + path + "2", "RCLONE_CONFIG_PASS=wrong"},
			"reading rclone's configuration " + path + "2: using RCLONE_CONFIG_PASS env password, unable to decrypt configuration",
		},
		"encrypted, right password": {
			[]string{"CODESTORYD_TEST_ENCRYPT=" + path + "3", "RCLONE_CONFIG=" + path + "3", "RCLONE_CONFIG_PASS=correct horse"},
			"<nil>",
		},
		"absent": {
			[]string{"RCLONE_CONFIG=" + path + "4"},
			"rclone has no remote of the name mem: add it to " + path + "4 with rclone config",
		},
		"absent, in the environment": {[]string{"RCLONE_CONFIG=" + path + "4", "RCLONE_CONFIG_MEM_TYPE=memory"}, "<nil>"},
		"unreadable":                 {[]string{"RCLONE_CONFIG=" + dir}, "reading rclone's configuration " + dir + ": "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, err := processFor(t, "open a remote", c.env...).Output()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			got := strings.TrimSuffix(string(out), "\n")
			if !strings.Contains(got, c.want) || strings.Contains(got, "\n") {
				t.Errorf("got %q, want one line with %q", got, c.want)
			}
		})
	}
}

// TestLimiter counts how often the limiter is asked.
func TestLimiter(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(Options) (remote.Store, error){
		"memory": func(o Options) (remote.Store, error) { return New(t.Context(), "mem:limiter", o) },
		"disk":   func(o Options) (remote.Store, error) { return New(t.Context(), "disk:limiter", o) },
	} {
		var asked atomic.Int64
		limiter := remote.NewLimiter(func(time.Time) int64 {
			asked.Add(1)
			return 0
		})
		store, err := open(Options{Limiter: limiter})
		if err != nil {
			t.Fatal(err)
		}
		mustPut(t, store, key, "x")
		if asked.Load() == 0 {
			t.Errorf("%s: nobody asked the limiter", name)
		}
	}
}

// TestDiskRemoteHidesAndSweeps looks at the disk behind the remote.
func TestDiskRemoteHidesAndSweeps(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	folder := filepath.Join(dir, filepath.FromSlash(uploads))
	if err := os.MkdirAll(folder, 0o777); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(folder, "yesterday's"), "left behind")
	write(t, filepath.Join(folder, "today's"), "being written")
	old := time.Now().Add(-25 * time.Hour)
	if err := os.Chtimes(filepath.Join(folder, "yesterday's"), old, old); err != nil {
		t.Fatal(err)
	}
	store := newStore(t, fmt.Sprintf(":alias,remote='%s':", filepath.ToSlash(dir)))
	src := remotetest.NewSource(remotetest.Bytes(100_000)).OnReach(50_000, func() {
		if _, err := os.Lstat(filepath.Join(dir, filepath.FromSlash(key))); !os.IsNotExist(err) {
			t.Errorf("half-way: %v, want no file under the key", err)
		}
	})
	if _, err := store.Put(t.Context(), key, src, remote.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Put(t.Context(), key, remotetest.NewSource([]byte("x")).ChangeAfter(0), remote.PutOptions{}); err == nil {
		t.Error("a changed source was put")
	}
	left, err := os.ReadDir(folder)
	if err != nil || len(left) != 1 || left[0].Name() != "today's" {
		t.Errorf("temporaries: %v, %v, want only the one that was written to today", left, err)
	}
}

func TestRemoteThatIsAFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "file")
	write(t, path, "x")
	store := newStore(t, fmt.Sprintf(":alias,remote='%s':", filepath.ToSlash(path)))
	err := store.Check(t.Context())
	if e, ok := errors.AsType[*codestory.Error](err); !ok || e.State != codestory.RemoteMissing {
		t.Errorf("check: %v, want it missing", err)
	}
}

// TestLog is not parallel: rclone has one logger.
func TestLog(t *testing.T) {
	var out bytes.Buffer
	setUp(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})))
	fs.Errorf("the object", "cannot save the %s", "token")
	fs.Logf(nil, "take note")
	fs.Debugf(nil, "never said")
	for _, want := range []string{
		`level=WARN msg="rclone says" message="cannot save the token" object="the object"`,
		`level=DEBUG msg="rclone says" message="take note"`,
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %s in\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "never") {
		t.Errorf("rclone's debug log is on:\n%s", out.String())
	}
	setUp(nil)
	out.Reset()
	fs.Errorf(nil, "anything")
	if out.Len() > 0 {
		t.Errorf("after that: %s", out.String())
	}
}

// TestSignalsAreOurs registers what backends do during an upload, and then sends what ends a process by default.
func TestSignalsAreOurs(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a process cannot send itself an interrupt there")
	}
	setUp(nil)
	defer atexit.Unregister(atexit.Register(func() { t.Error("rclone has caught the signal") }))
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, os.Interrupt)
	defer signal.Stop(caught)
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if err := self.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	<-caught
}
