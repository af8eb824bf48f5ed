// Command peers measures codestoryd as a whole process beside other S3 clients, against one MinIO of its own:
//
//	go run ./bench/peers
//
// Each round every client stores 5,000 small files, then one of 2 GiB, into an empty bucket; which goes first changes
// from round to round. What is in the bucket is held against the files before a time counts. Then each program that
// watches has a minute over a tree in which nothing happens. Other clients are taken from the path, else built from
// their Go modules once and kept in the cache folder; one that cannot be had is left out, with the reason. Everything
// is made below one temporary folder, and removed.
//
// Times depend on the machine and on what else it does. Compare those of one run only.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/codestory/codestoryd/remote/remotetest"
)

// options are the command line.
type options struct {
	rounds  int
	files   int
	size    int64
	large   int64
	idle    time.Duration
	clients string
	binary  string
	dir     string
}

func main() {
	var o options
	flag.IntVar(&o.rounds, "rounds", 3, "how often each client stores each set of files")
	flag.IntVar(&o.files, "files", 5000, "small files; 0 leaves them out")
	flag.Int64Var(&o.size, "size", 16<<10, "bytes of a small file")
	flag.Int64Var(&o.large, "large", 2<<30, "bytes of the large file; 0 leaves it out")
	flag.DurationVar(&o.idle, "idle", time.Minute, "how long to look at programs that have nothing to do; 0 leaves that out")
	flag.StringVar(&o.clients, "clients", "codestoryd,mc,rclone,s5cmd", "who is measured")
	flag.StringVar(&o.binary, "binary", "", "codestoryd to measure (default: built from this module)")
	flag.StringVar(&o.dir, "dir", os.TempDir(), "where everything is made")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	work, err := os.MkdirTemp(o.dir, "codestoryd-peers-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if err := os.Mkdir(filepath.Join(work, "minio"), 0o755); err != nil {
		return err
	}
	clients, err := o.findClients(ctx, work)
	if err != nil {
		return err
	}
	server, err := remotetest.RunMinIO(ctx, filepath.Join(work, "minio"), remotetest.MinIOOptions{})
	if err != nil {
		return err
	}
	defer server.Close()
	b := bench{server: server, work: work, clients: clients}
	if o.files > 0 {
		set, err := makeFiles(filepath.Join(work, "small"), o.files, o.size)
		if err != nil {
			return err
		}
		if err := b.rounds(ctx, o.rounds, set); err != nil {
			return err
		}
		if o.idle > 0 {
			if err := b.idle(ctx, o.idle, set); err != nil {
				return err
			}
		}
	}
	if o.large > 0 {
		set, err := makeFiles(filepath.Join(work, "large"), 1, o.large)
		if err != nil {
			return err
		}
		return b.rounds(ctx, o.rounds, set)
	}
	return nil
}

// findClients has the programs ready that are asked for.
func (o options) findClients(ctx context.Context, work string) (clients []client, err error) {
	for _, name := range strings.Split(o.clients, ",") {
		known, ok := knownClients[name]
		if !ok {
			return nil, fmt.Errorf("no client is called %q", name)
		}
		c := client{name: name, how: known}
		switch {
		case name == ours && o.binary != "":
			c.binary, err = filepath.Abs(o.binary)
		case name == ours:
			c.binary, err = buildOurs(ctx, work)
		default:
			if c.binary, err = find(ctx, known.program); err != nil {
				fmt.Printf("%s is left out: %v\n", name, err)
				continue
			}
		}
		if err != nil {
			return nil, err
		}
		clients = append(clients, c)
	}
	return clients, nil
}

// find is the program on the path, else one that is built.
func find(ctx context.Context, p remotetest.Program) (string, error) {
	if binary, err := exec.LookPath(p.Name); err == nil {
		return binary, nil
	}
	return p.Install(ctx, func(format string, args ...any) { fmt.Printf(format+"\n", args...) })
}

func buildOurs(ctx context.Context, work string) (string, error) {
	binary := filepath.Join(work, ours)
	cmd := exec.CommandContext(ctx, "go", "build", "-o", binary, "github.com/codestory/codestoryd/cmd/codestoryd")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building codestoryd: %w\n%s", err, out)
	}
	return binary, nil
}
