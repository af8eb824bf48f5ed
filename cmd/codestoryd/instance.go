package main

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/api/client"
	"github.com/codestory/codestoryd/daemon/access"
	"github.com/codestory/codestoryd/internal/atomicfile"
)

// instance is the content of daemon.json, which is in the data directory while a daemon runs, or after it was killed.
type instance struct {
	PID       int       `json:"pid"`
	Address   string    `json:"address"`
	StartedAt time.Time `json:"started_at"`
	TLS       string    `json:"tls_sha256,omitempty"` // the fingerprint of its certificate; "" if it serves HTTP
	Stopping  bool      `json:"stopping,omitempty"`   // it received a signal to end
}

// url is the URL of the daemon for clients on this machine.
func (i instance) url() string {
	scheme := "http"
	if i.TLS != "" {
		scheme = "https"
	}
	return localURL(scheme, i.Address).String()
}

const (
	instanceFile = "daemon.json"
	maxInstance  = 4 << 10 // bytes
)

func writeInstance(dataDir string, i instance) error {
	b, err := json.Marshal(i)
	if err != nil {
		return err
	}
	b = append(b, '\n')
	err = atomicfile.Write(filepath.Join(dataDir, instanceFile), b, 0o600)
	if errors.Is(err, codestory.ErrDiskFull) && overwrite(filepath.Join(dataDir, instanceFile), b) == nil {
		return nil
	}
	return err
}

// overwrite writes the file in place, for a disk that has no room for a second file.
func overwrite(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, 0)
	return errors.Join(err, f.Truncate(int64(len(b))), f.Close())
}

func removeInstance(dataDir string) error {
	err := os.Remove(filepath.Join(dataDir, instanceFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// withDaemon calls fn with a client of the running daemon. The error wraps errNotRunning if none runs.
func (p *program) withDaemon(ctx context.Context, fn func(*client.Client) error) error {
	c, err := p.config()
	if err != nil {
		return err
	}
	daemon, err := c.daemon(ctx)
	if err != nil {
		return err
	}
	defer daemon.Close()
	return fn(daemon)
}

// daemon connects to the daemon of this data directory. The error wraps errNotRunning if nothing answers as that daemon,
// and errStopping if it received a signal to end.
func (c config) daemon(ctx context.Context) (*client.Client, error) {
	if i, err := c.readInstance(); err == nil && i.Stopping {
		return nil, stopping(i)
	}
	return c.anyDaemon(ctx)
}

// anyDaemon is daemon, also for one that is stopping.
func (c config) anyDaemon(ctx context.Context) (*client.Client, error) {
	i, err := c.readInstance()
	if err != nil {
		return nil, err
	}
	daemon, err := c.connect(ctx, i)
	if err == nil {
		return daemon, nil
	}
	// Its certificate may just have been renewed, for this very connection.
	if again, readErr := c.readInstance(); readErr == nil && again != i {
		return c.connect(ctx, again)
	}
	return nil, err
}

// errStopping: the daemon received a signal to end, and does not take commands any more.
var errStopping = errors.New("stopping")

func stopping(i instance) error {
	return fmt.Errorf("%w: the daemon, process %d, ends within some seconds; start it again with: codestoryd run", errStopping, i.PID)
}

func (c config) notRunning() error {
	return fmt.Errorf("%w in the data directory %s: start it with: codestoryd run", errNotRunning, c.dataDir)
}

// alive reports whether there is a process of that number.
func alive(pid int) bool {
	p, err := os.FindProcess(pid)
	if err != nil {
		return false
	}
	defer func() { _ = p.Release() }()
	if runtime.GOOS == "windows" { // FindProcess has opened it
		return true
	}
	err = p.Signal(syscall.Signal(0))
	return err == nil || errors.Is(err, os.ErrPermission)
}

func (c config) readInstance() (i instance, err error) {
	b, err := atomicfile.Read(filepath.Join(c.dataDir, instanceFile), maxInstance)
	if errors.Is(err, fs.ErrNotExist) {
		return i, c.notRunning()
	}
	if err != nil {
		return i, err
	}
	if err := json.Unmarshal(b, &i); err != nil {
		return i, fmt.Errorf("%s does not parse: %w: restart the daemon", filepath.Join(c.dataDir, instanceFile), err)
	}
	if !alive(i.PID) { // killed; another program may have its port now
		return i, c.notRunning()
	}
	return i, nil
}

// healthTimeout is how long a running daemon may take to answer.
const healthTimeout = 10 * time.Second

// connect returns a client of the daemon. It sends the owner's token only after the server proved that it is the daemon.
func (c config) connect(ctx context.Context, i instance) (*client.Client, error) {
	token, err := access.OwnerToken(c.dataDir)
	if err != nil {
		return nil, err
	}
	daemon := client.New(i.url(), token, client.Options{Fingerprint: i.TLS})
	challenge := rand.Text()
	asking, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	proof, err := daemon.Health(asking, challenge)
	if errors.Is(err, client.ErrBusy) {
		daemon.Close()
		return nil, err
	}
	if err != nil || !hmac.Equal([]byte(proof), []byte(access.Proof(token, challenge))) {
		daemon.Close()
		return nil, c.notRunning() // another program has the port
	}
	return daemon, nil
}
