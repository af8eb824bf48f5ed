package db

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"
)

// A check reads a whole database, and so every page that is damaged. bbolt's own check does some of that in a goroutine
// of its own, where a fault ends the process, and is not safe beside writers. So a process of its own does it, on a file
// that nobody writes to, and a process that dies or takes far too long counts as damage.

const (
	// exitUnknown is the exit code of a process that could not find out whether the database is damaged.
	exitUnknown = 75

	checkPatience = 30 * time.Second // that a check of a small database may take
	checkPerByte  = time.Second / (2 << 20)
	checkStack    = 64 << 20 // bytes; pages that lead to one another in a circle take more
)

// CheckWith checks the database at path with a process that calls CheckMain. The error wraps ErrDamaged if the database
// is damaged; any other says that nothing was found out.
func CheckWith(ctx context.Context, path string, command func(ctx context.Context, path string) *exec.Cmd) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	return checkWithin(ctx, checkPatience+time.Duration(info.Size())*checkPerByte, path, command)
}

func checkWithin(
	ctx context.Context, patience time.Duration, path string, command func(ctx context.Context, path string) *exec.Cmd,
) error {
	limited, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("it took longer than %v", patience))
	defer cancel()
	cmd := command(limited, path)
	var said strings.Builder
	cmd.Stderr = &said
	stdin, err := cmd.StdinPipe() // closed when this process dies, which ends the check too
	if err != nil {
		return err
	}
	defer func() { _ = stdin.Close() }()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("checking the database: %w", err)
	}
	err = cmd.Wait()
	reason, _, _ := strings.Cut(strings.TrimSpace(said.String()), "\n")
	exit, _ := errors.AsType[*exec.ExitError](err)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case limited.Err() != nil:
		return fmt.Errorf("%w: checking it failed: %w", ErrDamaged, context.Cause(limited))
	case exit != nil && exit.ExitCode() == exitUnknown:
		return fmt.Errorf("checking the database: %s", reason)
	case exit != nil && reason != "":
		return fmt.Errorf("%w: %s", ErrDamaged, reason)
	case exit != nil:
		return fmt.Errorf("%w: checking it ended with %w", ErrDamaged, err)
	default:
		return fmt.Errorf("checking the database: %w", err)
	}
}

// CheckMain is the process of CheckWith: it checks the database at path, says on stderr what is wrong with it, and
// returns the exit code. It ends with its parent, whose terminal's signals are not meant for it.
func CheckMain(path string, layout Layout, stdin io.Reader, stderr io.Writer) (exitCode int) {
	signal.Ignore(os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	debug.SetMaxStack(checkStack)
	go func() {
		_, _ = io.Copy(io.Discard, stdin)
		os.Exit(exitUnknown)
	}()
	switch err := check(path, layout); {
	case err == nil:
		return 0
	case errors.Is(err, ErrDamaged):
		fmt.Fprintln(stderr, strings.TrimPrefix(err.Error(), ErrDamaged.Error()+": "))
		return 1
	default:
		fmt.Fprintln(stderr, err)
		return exitUnknown
	}
}

// check reads all of the database that nobody writes to: its pages, its free list, the checksum of every value. It may
// fault in a goroutine of bbolt's, which ends the process.
func check(path string, layout Layout) error {
	db, file, err := openBolt(path, Options{ReadOnly: true, Timeout: time.Second})
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	if err := checkSize(file); err != nil {
		return err
	}
	_, err = guarded(func() error {
		return db.View(func(tx *bolt.Tx) error {
			if err := checkLayout(tx, layout); err != nil {
				return err
			}
			return run(tx, (*Tx).Check)
		})
	})
	return err
}

// Check reads the pages of the database and the checksums of all its values. It may fault if the database is damaged, or
// somebody writes to it: see CheckWith.
func (tx *Tx) Check() error {
	var first error
	for err := range tx.bolt.Check() {
		if first == nil {
			first = fmt.Errorf("%w: %w", ErrDamaged, err)
		}
	}
	if first != nil {
		return first
	}
	return tx.bolt.ForEach(func(_ []byte, b *bolt.Bucket) error {
		return Bucket{b, tx}.ForEach(func(_, _ []byte) error { return nil })
	})
}
