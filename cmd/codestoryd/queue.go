package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/api/client"
	"github.com/codestory/codestoryd/daemon"
	"github.com/codestory/codestoryd/queue"
)

func (p *program) queueCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "queue",
		Short: "Look into the queue and act on it",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return usagef("use queue ls, retry, drop, pause or resume")
		},
	}
	retry := p.queueAction("retry [PATH…]", "Retry files now: those named, or all that are retrying or blocked",
		func(ctx context.Context, w io.Writer, daemon *client.Client, paths []string) error {
			if len(paths) == 0 {
				paths = []string{""} // all
			}
			total := 0
			for _, path := range paths {
				n, err := daemon.Retry(ctx, path)
				if err != nil {
					return fmt.Errorf("%s: %w", path, err)
				}
				total += n
			}
			_, err := fmt.Fprintf(w, "%d retried\n", total)
			return err
		})
	drop := p.queueAction("drop PATH…", "Remove files from the queue until they change",
		func(ctx context.Context, _ io.Writer, daemon *client.Client, paths []string) error {
			for _, path := range paths {
				if err := daemon.Drop(ctx, path); err != nil {
					return fmt.Errorf("%s: %w", path, err)
				}
			}
			return nil
		})
	drop.Args = cobra.MinimumNArgs(1)
	pause := p.queueAction("pause", "Stop uploads until resume, also over restarts",
		func(ctx context.Context, _ io.Writer, daemon *client.Client, _ []string) error {
			return daemon.Pause(ctx, true)
		})
	pause.Args = cobra.NoArgs
	resume := p.queueAction("resume", "Start uploads again",
		func(ctx context.Context, _ io.Writer, daemon *client.Client, _ []string) error {
			return daemon.Pause(ctx, false)
		})
	resume.Args = cobra.NoArgs
	cmd.AddCommand(p.queueListCommand(), retry, drop, pause, resume)
	return cmd
}

// queueAction is a command that asks the running daemon to do something.
func (p *program) queueAction(use, short string, do func(context.Context, io.Writer, *client.Client, []string) error) *cobra.Command {
	return &cobra.Command{
		Use:   use,
		Short: short,
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withDaemon(cmd.Context(), func(daemon *client.Client) error {
				return do(cmd.Context(), cmd.OutOrStdout(), daemon, args)
			})
		},
	}
}

func (p *program) queueListCommand() *cobra.Command {
	var (
		state, cursor string
		limit         int
		asJSON        bool
	)
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "List queued files in upload order, with the reason each one is waiting",
		Long: `List queued files in upload order, then those that wait for another attempt, then blocked ones, with the reason each
one is waiting. With the daemon down it lists what the database holds, and exits 3.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch codestory.FileState(state) {
			case "", codestory.Queued, codestory.Uploading, codestory.Retrying, codestory.Blocked:
			default:
				return usagef("--state %q: use queued, uploading, retrying or blocked", state)
			}
			if limit < 1 || limit > maxItems {
				return usagef("--limit %d: use 1 to %d", limit, maxItems)
			}
			c, err := p.config()
			if err != nil {
				return err
			}
			page, err := c.queue(cmd.Context(), codestory.FileState(state), limit, cursor)
			if err != nil && !errors.Is(err, errNotRunning) {
				return err
			}
			if asJSON {
				return errors.Join(printJSON(cmd.OutOrStdout(), page), err)
			}
			return errors.Join(writeQueue(cmd.OutOrStdout(), page), err)
		},
	}
	cmd.Flags().StringVar(&state, "state", "", "only those queued, uploading, retrying or blocked")
	cmd.Flags().IntVar(&limit, "limit", 100, "how many")
	cmd.Flags().StringVar(&cursor, "cursor", "", "next_cursor of the page before")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// maxItems is the most that the daemon lists at once.
const maxItems = 1000

// queue lists queued files: the daemon's answer, or what the database holds and errNotRunning.
func (c config) queue(ctx context.Context, state codestory.FileState, limit int, cursor string) (codestory.QueuePage, error) {
	running, err := c.daemon(ctx)
	if err == nil {
		defer running.Close()
		return running.Queue(ctx, state, limit, cursor)
	}
	if !errors.Is(err, errNotRunning) {
		return codestory.QueuePage{}, err
	}
	page := codestory.QueuePage{Items: []codestory.QueueItem{}}
	offline := c.withDatabase(func(q *queue.Queue) (err error) {
		page, err = daemon.OfflineQueue(q, state, limit, cursor)
		return err
	})
	if offline != nil {
		return page, offline
	}
	return page, err
}

func writeQueue(w io.Writer, page codestory.QueuePage) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, i := range page.Items {
		next := ""
		if i.NextAttempt != nil {
			next = "next at " + i.NextAttempt.Local().Format(time.TimeOnly)
		}
		fmt.Fprintln(t, strings.Join([]string{string(i.State), printable(i.Path), size(i.Size), next, visible(deref(i.Reason))}, "\t"))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if page.NextCursor != nil {
		_, err := fmt.Fprintf(w, "and more: --cursor %s\n", *page.NextCursor)
		return err
	}
	return nil
}
