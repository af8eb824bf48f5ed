package db

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
)

// The modes that the test binary runs in as another process.
const (
	envMode = "CODESTORYD_DB_TEST_MODE"
	envPath = "CODESTORYD_DB_TEST_PATH"

	modeCheck = "check"
	modeHold  = "hold"
	modeFault = "fault" // of a check: it dies of a signal
	modeHang  = "hang"  // likewise: it never ends
)

func TestMain(m *testing.M) {
	switch os.Getenv(envMode) {
	case "":
		os.Exit(m.Run())
	case modeCheck:
		os.Exit(CheckMain(os.Getenv(envPath), layout, os.Stdin, os.Stderr))
	case modeHold:
		db, err := Open(os.Getenv(envPath), layout, Options{})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println("open")
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = db.Close()
	case modeFault:
		self, _ := os.FindProcess(os.Getpid())
		_ = self.Kill()
		select {}
	case modeHang:
		select {}
	}
}

// inMode makes a command of this test binary in that mode.
func inMode(mode string) func(ctx context.Context, path string) *exec.Cmd {
	return func(ctx context.Context, path string) *exec.Cmd {
		cmd := exec.CommandContext(ctx, os.Args[0])
		cmd.Env = append(os.Environ(), envMode+"="+mode, envPath+"="+path)
		return cmd
	}
}

// checked are options with a check by another process.
func checked() Options { return checkedIn(modeCheck) }

func checkedIn(mode string) Options {
	return Options{Check: func(ctx context.Context, path string) error { return CheckWith(ctx, path, inMode(mode)) }}
}

var (
	bucketA = []byte("a")
	bucketB = []byte("b")
	layout  = Layout{Schema: 3, Buckets: [][]byte{bucketA, bucketB}}
)

func newPath(t testing.TB) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "x.db")
}

func openAt(t testing.TB, path string, opts Options) *DB {
	t.Helper()
	db, err := Open(path, layout, opts)
	must(t, err)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func put(t testing.TB, db *DB, key, value string) {
	t.Helper()
	must(t, db.Batch(func(tx *Tx) error { return tx.Bucket(bucketA).Put([]byte(key), []byte(value)) }))
}

// get returns the value of the key; "" if there is none.
func get(t testing.TB, db *DB, key string) (value string) {
	t.Helper()
	must(t, db.View(func(tx *Tx) error {
		value = string(tx.Bucket(bucketA).Get([]byte(key)))
		return nil
	}))
	return value
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	return b
}

// edit changes a database that is closed behind this package's back.
func edit(t testing.TB, path string, fn func(*bolt.Tx) error) {
	t.Helper()
	db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: time.Second})
	must(t, err)
	must(t, db.Update(fn))
	must(t, db.Close())
}

const sampleKeys = 300

func sampleKey(n int) []byte { return fmt.Appendf(nil, "key %04d", n) }

// newSample makes a database of some thirty pages, with a backup of half of it, and returns its path. It is closed.
func newSample(t testing.TB) string {
	t.Helper()
	path := newPath(t)
	db := openAt(t, path, Options{})
	for half := range 2 {
		must(t, db.Batch(func(tx *Tx) (err error) {
			for n := half; n < sampleKeys; n += 2 {
				value := []byte(strings.Repeat("value ", n%100))
				if n == 7 {
					value = bytes.Repeat([]byte("large "), 3_000) // more than a page
				}
				err = errors.Join(err, tx.Bucket(bucketA).Put(sampleKey(n), value), tx.Bucket(bucketB).Put(sampleKey(n), nil))
			}
			return err
		}))
		if half == 0 {
			must(t, db.Backup(t.Context()))
		}
	}
	must(t, db.Batch(func(tx *Tx) error { return tx.Bucket(bucketB).Delete(sampleKey(0)) }))
	must(t, db.Batch(func(tx *Tx) error { return tx.Bucket(bucketB).Put(sampleKey(0), nil) }))
	must(t, db.Close())
	return path
}

// used is how much of the file is in use.
func used(t testing.TB, path string) int {
	t.Helper()
	f, err := os.Open(path)
	must(t, err)
	defer f.Close()
	m, err := readMeta(f, 0)
	must(t, err)
	return int(m.pages * m.pageSize)
}

// flip changes one bit of a value, which is in a page that few transactions look at.
func flip(t testing.TB, path string) {
	t.Helper()
	content := read(t, path)
	at := bytes.LastIndex(content, []byte("large large"))
	must(t, overwrite(path, at, 1))
}

// keysOf counts the keys of the sample's first bucket.
func keysOf(t testing.TB, db *DB) (n int, err error) {
	t.Helper()
	err = db.View(func(tx *Tx) error {
		n = 0
		return tx.Bucket(bucketA).ForEach(func(_, _ []byte) error {
			n++
			return nil
		})
	})
	return n, err
}

// hold has another process open the database until release is called.
func hold(t *testing.T, path string) (release func()) {
	t.Helper()
	cmd := inMode(modeHold)(t.Context(), path)
	stdin, err := cmd.StdinPipe()
	must(t, err)
	stdout, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	if !bufio.NewScanner(stdout).Scan() {
		t.Fatal("the other process opened nothing")
	}
	return func() {
		_ = stdin.Close()
		_ = cmd.Wait()
	}
}
