package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/daemon"
	"github.com/codestory/codestoryd/queue"
	"github.com/codestory/codestoryd/remote"
)

func (p *program) statusCommand() *cobra.Command {
	var asJSON, watching, ignored bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the daemon, the store, the queue and the uploads under way",
		Long: `Show the daemon, the store, the queue and the uploads under way. With the daemon down it shows what the
database holds, and exits 3.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := p.config()
			if err != nil {
				return err
			}
			print := func() error { return c.printStatus(cmd.Context(), cmd.OutOrStdout(), asJSON) }
			if ignored {
				print = func() error { return c.printIgnored(cmd.Context(), cmd.OutOrStdout(), asJSON) }
			}
			if !watching {
				return print()
			}
			return repeat(cmd.Context(), func() error {
				if !asJSON {
					fmt.Fprint(cmd.OutOrStdout(), clearScreen)
				}
				return print()
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().BoolVar(&watching, "watch", false, "print again every second until interrupted")
	cmd.Flags().BoolVar(&ignored, "ignored", false, "list files that are not uploaded, and why")
	return cmd
}

// clearScreen moves to the top left and erases all below (ECMA-48, CUP and ED).
const clearScreen = "\x1b[H\x1b[J"

// repeat calls f every second until ctx ends. A daemon that is down may come up.
func repeat(ctx context.Context, f func() error) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		if err := f(); err != nil && !errors.Is(err, errNotRunning) && ctx.Err() == nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// printStatus prints the daemon's status. If no daemon runs it prints what the database holds and returns errNotRunning.
func (c config) printStatus(ctx context.Context, w io.Writer, asJSON bool) error {
	status, err := c.status(ctx)
	if err != nil && !errors.Is(err, errNotRunning) {
		return err
	}
	if asJSON {
		return errors.Join(printJSON(w, status), err)
	}
	var known time.Time
	if info, statErr := os.Stat(filepath.Join(c.dataDir, databaseFile)); !status.Running && statErr == nil {
		known = info.ModTime()
	}
	return errors.Join(writeStatus(w, status, known), err)
}

func (c config) status(ctx context.Context) (codestory.Status, error) {
	running, err := c.anyDaemon(ctx)
	if err == nil {
		defer running.Close()
		return running.Status(ctx)
	}
	if !errors.Is(err, errNotRunning) {
		return codestory.Status{}, err
	}
	var stats queue.Stats
	problems := []codestory.Problem{}
	info := remote.Info{Kind: c.remote.kind}
	offline := c.withDatabase(func(q *queue.Queue) (err error) {
		if name := q.Destination(); name != "" {
			info = remote.ParseDestination(name)
		}
		problems = append(problems, daemon.DatabaseProblems(q)...)
		files, err := daemon.FileProblems(q)
		if err != nil {
			return err
		}
		problems = append(problems, files...)
		stats, err = q.Stats()
		return err
	})
	s := daemon.OfflineStatus(stats, info, c.dir, version())
	s.Problems = problems
	if i, readErr := c.readInstance(); errors.Is(offline, errStopping) && readErr == nil {
		s.Running, s.PID, s.StartedAt, s.Address = true, &i.PID, &i.StartedAt, &i.Address
		s.Problems = []codestory.Problem{{Code: stoppingCode, Severity: codestory.SeverityWarn, Since: time.Now().Round(0), Details: []string{},
			Message: "the daemon is stopping and answers no more: what its queue holds is not known at the moment"}}
		return s, nil
	}
	if offline != nil {
		return codestory.Status{}, offline
	}
	return s, err
}

// withDatabase calls fn with the database, read only, if there is one. No daemon may run.
func (c config) withDatabase(fn func(*queue.Queue) error) error {
	path := filepath.Join(c.dataDir, databaseFile)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	q, err := queue.Open(path, "", queue.Options{ReadOnly: true})
	if errors.Is(err, queue.ErrEmpty) {
		return nil
	}
	if i, readErr := c.readInstance(); errors.Is(err, queue.ErrLocked) && readErr == nil {
		return stopping(i) // it has closed its port, and not yet the database
	}
	if err != nil {
		return err
	}
	defer func() { _ = q.Close() }()
	return fn(q)
}

// printIgnored lists files that are not uploaded. If the daemon is down it scans by the settings of this command.
func (c config) printIgnored(ctx context.Context, w io.Writer, asJSON bool) error {
	list, truncated, err := c.ignored(ctx)
	if err != nil && !errors.Is(err, errNotRunning) {
		return err
	}
	if asJSON {
		return errors.Join(printJSON(w, map[string]any{"ignored": list, "truncated": truncated}), err)
	}
	for _, i := range list {
		fmt.Fprintf(w, "%s: %s\n", printable(i.Path), visible(i.Reason))
	}
	if truncated {
		fmt.Fprintf(w, "and more: the first %d are listed\n", len(list))
	}
	return err
}

// maxIgnored is the most files that the list of ignored ones has.
const maxIgnored = 10_000

func (c config) ignored(ctx context.Context) (list []codestory.Ignored, truncated bool, err error) {
	running, err := c.anyDaemon(ctx)
	if err == nil {
		defer running.Close()
		answer, err := running.Ignored(ctx)
		return answer.Ignored, answer.Truncated, err
	}
	if !errors.Is(err, errNotRunning) {
		return nil, false, err
	}
	tree, openErr := openOutput(c.dir)
	if openErr != nil {
		return nil, false, openErr
	}
	offline := c.withDatabase(func(q *queue.Queue) (err error) {
		list, err = q.Ignored(maxIgnored)
		return err
	})
	left, listErr := tree.Ignored(ctx, c.rules, maxIgnored-len(list))
	if failed := errors.Join(offline, listErr); failed != nil {
		return nil, false, failed
	}
	list = append(list, left...)
	return list, len(list) == maxIgnored, err
}

// writeStatus prints the status for people. known is when the database changed last, if the daemon is not running; zero is
// never.
func writeStatus(w io.Writer, s codestory.Status, known time.Time) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	row := func(name, format string, args ...any) { fmt.Fprintf(t, name+"\t"+format+"\n", args...) }
	stops := slices.ContainsFunc(s.Problems, func(p codestory.Problem) bool { return p.Code == stoppingCode })
	switch {
	case s.Running:
		word := "running"
		if stops {
			word = "stopping"
		}
		row("daemon", "%s at %s since %s (pid %d, %s)", word, deref(s.Address), deref(s.StartedAt).Local().Format(time.DateTime), deref(s.PID), s.Version)
	case known.IsZero():
		row("daemon", "not running")
	default:
		row("daemon", "not running; what follows was known at %s", known.Local().Format(time.DateTime))
	}
	row("directory", "%s", printable(s.Dir))
	row("store", "%s", describeRemote(s.Remote))
	if !stops || s.Watch != nil { // else the daemon did not answer
		row("queue", "%s", describeQueue(s.Queue))
		row("synced", "%d files, %s", s.Synced.Files, size(s.Synced.Bytes))
	}
	if s.Watch != nil {
		row("watching", "%d directories by %s", s.Watch.Directories, s.Watch.Mode)
	}
	for _, u := range s.Uploads {
		row("upload", "%s  %s of %s, %s/s%s", printable(u.Path), size(u.SentBytes), size(u.TotalBytes), size(u.BytesPerSecond), attempt(u.Attempt))
	}
	for _, p := range s.Problems {
		row("problem", "%s", visible(p.Message))
		for _, detail := range p.Details {
			row("", "  %s", printable(detail))
		}
	}
	return t.Flush()
}

func describeRemote(r codestory.RemoteStatus) string {
	where := strings.Join(strings.Fields(r.Kind+" "+deref(r.Endpoint)+" "+deref(r.Bucket)), " ")
	if r.Since == nil { // nobody has asked
		return where
	}
	text := where + ": " + string(r.State)
	if r.Message != nil {
		text += ", " + visible(*r.Message)
	}
	return text
}

func describeQueue(q codestory.QueueStatus) string {
	paused := ""
	if q.Paused {
		paused = "paused; "
	}
	if q.Queued+q.Uploading+q.Retrying+q.Blocked == 0 {
		return paused + "empty"
	}
	text := paused + fmt.Sprintf("%d queued, %d uploading, %d retrying, %d blocked, %s", q.Queued, q.Uploading, q.Retrying, q.Blocked, size(q.Bytes))
	if q.OldestSeconds > 0 {
		text += fmt.Sprintf(", the oldest for %s", time.Duration(q.OldestSeconds)*time.Second)
	}
	return text
}

func attempt(n int) string {
	if n < 2 {
		return ""
	}
	return fmt.Sprintf(", attempt %d", n)
}

// size formats a number of bytes in binary units (IEC 80000-13).
func size(n int64) string {
	const units = "KMGTPE"
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	f, unit := float64(n)/1024, 0
	for f >= 1024 && unit < len(units)-1 {
		f /= 1024
		unit++
	}
	return fmt.Sprintf("%.1f %ciB", f, units[unit])
}

// deref is what p points to; the zero value for nil.
func deref[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}
