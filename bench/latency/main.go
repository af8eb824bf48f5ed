// Command latency measures how long it takes from a writer's close until the file is visible in a real MinIO, for
// codestoryd and, beside it in the same run, for `mc mirror --watch`. The times are the server's: it tells of each
// object by a webhook.
//
//	go build -o /tmp/codestoryd ./cmd/codestoryd
//	go run ./bench/latency -codestoryd /tmp/codestoryd -minio MINIO -mc MC
//
// MINIO is the server that the tests have built (in the user's cache folder), MC a client built by `go install
// github.com/minio/mc@latest`; without one only codestoryd is measured.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"time"
)

func main() {
	var m measurement
	flag.StringVar(&m.minio, "minio", "", "the MinIO server's binary (needed)")
	flag.StringVar(&m.codestoryd, "codestoryd", "", "codestoryd's binary (needed)")
	flag.StringVar(&m.mc, "mc", "", "the mc client's binary")
	flag.IntVar(&m.files, "files", 200, "how many files to write")
	flag.IntVar(&m.size, "size", 64<<10, "bytes in each")
	flag.DurationVar(&m.every, "every", 50*time.Millisecond, "time between two files")
	flag.BoolVar(&m.folders, "folders", false, "make a story's folder just before each file")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := m.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "latency:", err)
		os.Exit(1)
	}
}

// measurement is one run.
type measurement struct {
	minio, codestoryd, mc string
	files, size           int
	every                 time.Duration
	folders               bool

	dir    string // everything of the run
	server *server
}

// story is the folder that the files are written to: it is there before the first of them.
const story = "0b5c8f6e-7d5a-4a63-9a2b-0f6f0d5c1a11"

func (m *measurement) run(ctx context.Context) (err error) {
	if m.minio == "" || m.codestoryd == "" {
		return errors.New("name the binaries: -minio and -codestoryd")
	}
	if m.dir, err = os.MkdirTemp("", "latency-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(m.dir)) }()
	if m.server, err = startServer(ctx, m.minio, filepath.Join(m.dir, "server"), m.size); err != nil {
		return err
	}
	defer m.server.stop()
	if err := m.measure(ctx, "codestoryd", m.startCodestoryd); err != nil {
		return err
	}
	if m.mc == "" {
		return nil
	}
	return m.measure(ctx, "mc mirror --watch", m.startMC)
}

// measure starts the program, waits until it is at work, writes the files, and prints what came of them.
func (m *measurement) measure(ctx context.Context, name string, start func(ctx context.Context, dir, bucket string) (*process, error)) error {
	bucket := fmt.Sprintf("bucket-%d", len(name))
	if err := m.server.makeBucket(ctx, bucket); err != nil {
		return err
	}
	output := filepath.Join(m.dir, bucket, "output")
	folder := filepath.Join(output, story, "chapters")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	program, err := start(ctx, output, bucket)
	if err != nil {
		return err
	}
	defer program.stop()
	if err := m.warmUp(ctx, folder); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	closed := make(map[string]time.Time)
	for i := range m.files {
		file := fmt.Sprintf("chapter_%03d.mp3", i+1)
		if m.folders {
			folder = filepath.Join(output, fmt.Sprintf("%08x%s", i, story[8:]), "chapters")
			if err := os.MkdirAll(folder, 0o755); err != nil {
				return err
			}
		}
		if closed[file], err = m.write(folder, file, byte(i)); err != nil {
			return err
		}
		time.Sleep(m.every)
	}
	time.Sleep(2 * time.Second)
	var took []time.Duration
	for file, at := range closed {
		if visible, ok := m.server.visible(file); ok {
			took = append(took, visible.Sub(at))
		}
	}
	report(name, took, len(closed)-len(took))
	return nil
}

// warmUp writes three files, each after the one before has arrived: the program is at work then, and connected.
func (m *measurement) warmUp(ctx context.Context, folder string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, errors.New("files do not arrive"))
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for i := range 3 {
		file := fmt.Sprintf("warm-up-%d.mp3", i)
		if _, err := m.write(folder, file, 'w'); err != nil {
			return err
		}
		for arrived := false; !arrived; _, arrived = m.server.visible(file) {
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-tick.C:
			}
		}
	}
	return nil
}

// write writes a file in one piece and says when it was closed.
func (m *measurement) write(folder, file string, fill byte) (closed time.Time, err error) {
	content := make([]byte, m.size)
	for i := range content {
		content[i] = fill + byte(i>>8)
	}
	err = os.WriteFile(filepath.Join(folder, file), content, 0o644)
	return time.Now(), err
}

func report(name string, took []time.Duration, missing int) {
	if len(took) == 0 {
		fmt.Printf("%-18s nothing arrived\n", name)
		return
	}
	slices.Sort(took)
	at := func(share float64) time.Duration {
		return took[min(len(took)-1, int(share*float64(len(took))))].Round(10 * time.Microsecond)
	}
	fmt.Printf("%-18s median %v, p90 %v, p99 %v, longest %v, missing %d of %d\n",
		name, at(.5), at(.9), at(.99), at(1), missing, missing+len(took))
}
