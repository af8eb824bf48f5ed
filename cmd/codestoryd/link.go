package main

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/api/client"
)

func (p *program) linkCommand() *cobra.Command {
	var (
		chapter int
		expires time.Duration
		asJSON  bool
	)
	cmd := &cobra.Command{
		Use:   "link STORY",
		Short: "Print a link that plays a story, for whoever holds it until it expires",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := codestory.ParseStoryID(args[0])
			if err != nil {
				return &usageError{err}
			}
			if cmd.Flags().Changed("chapter") && chapter < 1 {
				return usagef("--chapter %d: chapters are counted from 1", chapter)
			}
			if expires < time.Second || expires > maxExpires || expires%time.Second != 0 {
				return usagef("--expires %s: use whole seconds from 1s to %s", expires, maxExpires)
			}
			return p.withDaemon(cmd.Context(), func(daemon *client.Client) error {
				link, err := daemon.Audio(cmd.Context(), id, chapter, expires)
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(cmd.OutOrStdout(), link)
				}
				_, err = fmt.Fprintln(cmd.OutOrStdout(), link.URL)
				return err
			})
		},
	}
	cmd.Flags().IntVar(&chapter, "chapter", 0, "the chapter, from 1; the whole story unless given")
	cmd.Flags().DurationVar(&expires, "expires", time.Hour, "how long the link is good for, at most "+maxExpires.String())
	cmd.Flags().BoolVar(&asJSON, "json", false, "print all there is to know of the link")
	return cmd
}

// maxExpires is the longest that S3 signs a link for.
const maxExpires = 7 * 24 * time.Hour

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
