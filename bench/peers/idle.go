package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// restful is how long a program has, after it has stored everything, before it should have come to rest.
const restful = 5 * time.Second

// idler is a program that watches a tree in which nothing happens.
type idler struct {
	name   string
	from   usage
	remove func() error
	*process
}

// idle has all that can watch watch the files, side by side since they should take next to nothing, and prints what
// they took.
func (b *bench) idle(ctx context.Context, d time.Duration, set *fileSet) (err error) {
	var idlers []*idler
	defer func() {
		for _, i := range idlers {
			err = errors.Join(err, i.stop(), i.remove())
		}
	}()
	for _, c := range b.clients {
		if c.how.watch == nil {
			continue
		}
		for _, local := range []bool{false, true} {
			if local && c.name != ours {
				continue
			}
			i, err := b.startIdler(ctx, c, set, local)
			if err != nil {
				return fmt.Errorf("%s, watching: %w", c.name, err)
			}
			idlers = append(idlers, i)
		}
	}
	if err := sleep(ctx, restful); err != nil {
		return err
	}
	for _, i := range idlers {
		if i.from, err = usageOf(i.cmd.Process.Pid); err != nil {
			return err
		}
	}
	if err := sleep(ctx, d); err != nil {
		return err
	}
	fmt.Printf("\nidle for %v over %s\n%-20s%10s%14s%12s\n", d, set.name, "", "CPU s", "resident MiB", "peak MiB")
	for _, i := range idlers {
		now, err := usageOf(i.cmd.Process.Pid)
		if err != nil {
			return err
		}
		fmt.Printf("%-20s%10.2f%14.1f%12.1f\n", i.name, (now.cpu - i.from.cpu).Seconds(), mib(now.resident), mib(now.peak))
	}
	fmt.Println()
	return nil
}

// startIdler returns once all files are stored.
func (b *bench) startIdler(ctx context.Context, c client, set *fileSet, local bool) (*idler, error) {
	j, remove, err := b.newJob(ctx, set)
	if err != nil {
		return nil, err
	}
	j.local = local
	i := &idler{name: c.name, remove: remove}
	if c.name == ours {
		if local {
			i.name += ", embedded"
		}
		running, err := startOurs(ctx, c, j)
		if err != nil {
			return nil, errors.Join(err, remove())
		}
		i.process = running.process
		err = running.awaitSynced(ctx, len(set.files))
		running.api.Close()
		if err != nil {
			return nil, errors.Join(i.fault(err), i.stop(), remove())
		}
		return i, nil
	}
	p, stdout, err := start(ctx, c, c.how.watch(j), c.how.env(j))
	if err != nil {
		return nil, errors.Join(err, remove())
	}
	i.process = p
	go func() { _, _ = io.Copy(io.Discard, stdout) }()
	if err := b.awaitObjects(ctx, set, j); err != nil {
		return nil, errors.Join(i.fault(err), i.stop(), remove())
	}
	return i, nil
}

// awaitObjects returns once the bucket has all files.
func (b *bench) awaitObjects(ctx context.Context, set *fileSet, j job) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	for {
		err := set.check(ctx, b.server.Client(), j.bucket)
		if err == nil {
			return nil
		}
		if sleep(ctx, time.Second) != nil {
			return err
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
