package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	api "github.com/codestory/codestoryd/api/client"
	"github.com/codestory/codestoryd/remote/remotetest"
)

// bench is one run of this program.
type bench struct {
	server  *remotetest.MinIO
	work    string
	clients []client
	jobs    int
}

// result is what it took one client to store one set of files once.
type result struct {
	wall time.Duration
	cpu  time.Duration
	peak int64
}

// rounds lets every client store the files that often, in turn, and prints what that took.
func (b *bench) rounds(ctx context.Context, rounds int, set *fileSet) error {
	results := map[string][]result{}
	for round := range rounds {
		for i := range b.clients {
			c := b.clients[(i+round)%len(b.clients)]
			r, err := b.once(ctx, c, set)
			if err != nil {
				return fmt.Errorf("%s, %s: %w", c.name, set.name, err)
			}
			fmt.Printf("  %-12s%8.2f s\n", c.name, r.wall.Seconds())
			results[c.name] = append(results[c.name], r)
		}
	}
	b.print(set, results)
	return nil
}

// once lets the client store the files in a bucket of their own, which is removed.
func (b *bench) once(ctx context.Context, c client, set *fileSet) (r result, err error) {
	j, remove, err := b.newJob(ctx, set)
	if err != nil {
		return result{}, err
	}
	defer func() { err = errors.Join(err, remove()) }()
	settleDisk()
	if c.name == ours {
		r, err = oursOnce(ctx, c, j, len(set.files))
	} else {
		r, err = peerOnce(ctx, c, j)
	}
	if err != nil {
		return result{}, err
	}
	return r, set.check(ctx, b.server.Client(), j.bucket)
}

func (b *bench) newJob(ctx context.Context, set *fileSet) (j job, remove func() error, err error) {
	b.jobs++
	j = job{
		server: b.server, bucket: fmt.Sprintf("peers-%d", b.jobs), dir: set.dir,
		scratch: filepath.Join(b.work, fmt.Sprintf("scratch-%d", b.jobs)),
	}
	if err := os.Mkdir(j.scratch, 0o755); err != nil {
		return job{}, nil, err
	}
	if err := b.server.Client().MakeBucket(ctx, j.bucket, minio.MakeBucketOptions{}); err != nil {
		return job{}, nil, err
	}
	return j, func() error {
		return errors.Join(os.RemoveAll(j.scratch), b.server.Client().RemoveBucketWithOptions(context.WithoutCancel(ctx),
			j.bucket, minio.RemoveBucketOptions{ForceDelete: true}))
	}, nil
}

// peerOnce takes the time until the program has ended.
func peerOnce(ctx context.Context, c client, j job) (result, error) {
	p, stdout, err := start(ctx, c, c.how.args(j), c.how.env(j))
	if err != nil {
		return result{}, err
	}
	err = p.finish(stdout)
	wall := time.Since(p.began)
	if err != nil {
		return result{}, p.fault(err)
	}
	return result{wall, p.cpu, p.peak}, nil
}

// oursOnce takes the time from the start of the daemon until it has written down that all files are stored.
func oursOnce(ctx context.Context, c client, j job, files int) (result, error) {
	d, err := startOurs(ctx, c, j)
	if err != nil {
		return result{}, err
	}
	if err := d.awaitSynced(ctx, files); err != nil {
		return result{}, errors.Join(d.fault(err), d.stop())
	}
	wall := time.Since(d.began)
	d.look()
	r := result{wall, d.cpu, d.peak}
	return r, d.stop()
}

// oursRunning is the daemon, and a client of its API.
type oursRunning struct {
	*process
	api *api.Client
}

func startOurs(ctx context.Context, c client, j job) (*oursRunning, error) {
	p, stdout, err := start(ctx, c, c.how.args(j), c.how.env(j))
	if err != nil {
		return nil, err
	}
	url, token, err := awaitReady(stdout, j)
	if err != nil {
		return nil, errors.Join(p.fault(err), p.stop())
	}
	return &oursRunning{p, api.New(url, token, api.Options{})}, nil
}

func awaitReady(stdout *bufio.Reader, j job) (url, token string, err error) {
	line, err := stdout.ReadString('\n')
	if err != nil {
		return "", "", fmt.Errorf("waiting for it to be ready: %w", err)
	}
	text, err := os.ReadFile(filepath.Join(dataDir(j), "token"))
	if err != nil {
		return "", "", err
	}
	return strings.TrimSpace(strings.TrimPrefix(line, "codestoryd ready ")), strings.TrimSpace(string(text)), nil
}

// awaitSynced returns once the daemon says that so many files are stored.
func (d *oursRunning) awaitSynced(ctx context.Context, files int) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-d.exited:
			return errors.New("it has ended")
		case <-tick.C:
		}
		status, err := d.api.Status(ctx)
		if err != nil {
			return err
		}
		if status.Synced.Files == int64(files) {
			return nil
		}
	}
}

// print shows each client's median round, and how ours compares with the best of the others.
func (b *bench) print(set *fileSet, results map[string][]result) {
	fmt.Printf("\n%s, the median of %d rounds\n", set.name, len(results[b.clients[0].name]))
	fmt.Printf("%-12s%10s%10s%10s%10s%12s%10s\n", "", "seconds", "files/s", "MiB/s", "CPU s", "peak MiB", "best s")
	best := time.Duration(0)
	for _, c := range b.clients {
		r := median(results[c.name])
		s := r.wall.Seconds()
		fmt.Printf("%-12s%10.2f%10.0f%10.1f%10.2f%12.1f%10.2f\n", c.name, s, float64(len(set.files))/s,
			mib(set.bytes)/s, r.cpu.Seconds(), mib(r.peak), fastest(results[c.name]).Seconds())
		if c.name != ours && (best == 0 || r.wall < best) {
			best = r.wall
		}
	}
	if mine := results[ours]; len(mine) > 0 && best > 0 {
		fmt.Printf("codestoryd is %.2f times as fast as the best of the others\n", best.Seconds()/median(mine).wall.Seconds())
	}
	fmt.Println()
}

func median(results []result) result {
	sorted := slices.SortedFunc(slices.Values(results), func(a, b result) int { return cmp.Compare(a.wall, b.wall) })
	m := sorted[(len(sorted)-1)/2]
	for _, r := range results { // memory is what it was at most
		m.peak = max(m.peak, r.peak)
	}
	return m
}

func fastest(results []result) time.Duration {
	return slices.MinFunc(results, func(a, b result) int { return cmp.Compare(a.wall, b.wall) }).wall
}

func mib(n int64) float64 { return float64(n) / (1 << 20) }
