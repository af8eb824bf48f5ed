package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/api/client"
)

const linkHelp = `Print a link that plays a story for anybody who has it, until it expires.

--feed prints the URL of the story as a podcast, --library that of all stories of a user: these hold a KEY and do not
expire. --rotate replaces the KEY, so that URLs with the old one stop working at once, and prints the new player URL, or
with --feed or --library the new feed URL.`

// linkFlags are the flags of link.
type linkFlags struct {
	chapter                       int
	expires                       duration
	feed, library, rotate, asJSON bool
	user                          string
}

func (p *program) linkCommand() *cobra.Command {
	var f linkFlags
	cmd := &cobra.Command{
		Use:   "link STORY | link --library",
		Short: "Print a link that plays a story, or a feed to subscribe to",
		Long:  linkHelp,
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(cmd, args); err != nil {
				return &usageError{err}
			}
			return p.withDaemon(cmd.Context(), func(daemon *client.Client) error {
				if f.library {
					return f.printLibrary(cmd, daemon)
				}
				return f.printLink(cmd, daemon, codestory.StoryID(args[0]))
			})
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&f.chapter, "chapter", 0, "the chapter, from 1; the whole story if not given")
	f.expires = duration(time.Hour)
	flags.Var(&f.expires, "expires", "how long the link works, such as 90m, 12h or 2d; at most 7d")
	flags.BoolVar(&f.feed, "feed", false, "the story as a podcast; does not expire")
	flags.BoolVar(&f.library, "library", false, "all stories of a user as a podcast; does not expire")
	flags.StringVar(&f.user, "user", "", "with --library: the user; the daemon's own user if not given")
	flags.BoolVar(&f.rotate, "rotate", false, "replace the KEY: URLs with the old one stop working at once")
	flags.BoolVar(&f.asJSON, "json", false, "print JSON")
	return cmd
}

// maxExpires is the longest that S3 signs a link for.
const maxExpires = duration(7 * 24 * time.Hour)

// check checks the command line.
func (f linkFlags) check(cmd *cobra.Command, args []string) error {
	given := cmd.Flags().Changed
	switch {
	case f.library && (len(args) > 0 || f.feed || given("chapter") || given("expires")):
		return errors.New("--library is for all stories of a user, and goes with --user, --rotate and --json only")
	case f.library:
		return nil
	case len(args) == 0:
		return errors.New("name a story, or use --library")
	case given("user"):
		return errors.New("--user goes with --library only")
	case given("chapter") && f.chapter < 1:
		return fmt.Errorf("--chapter %d: chapters are counted from 1", f.chapter)
	case f.feed && given("chapter"):
		return errors.New("a feed has all chapters: leave --chapter out")
	case (f.feed || f.rotate) && given("expires"):
		return errors.New("a URL with a KEY does not expire: leave --expires out, and end it with --rotate")
	case f.expires < duration(time.Second) || f.expires > maxExpires || time.Duration(f.expires)%time.Second != 0:
		return fmt.Errorf("--expires %s: use whole seconds from 1s to 7d", &f.expires)
	}
	_, err := codestory.ParseStoryID(args[0])
	return err
}

// print prints the URL, or the whole answer with --json.
func (f linkFlags) print(cmd *cobra.Command, url string, answer any) error {
	if f.asJSON {
		return printJSON(cmd.OutOrStdout(), answer)
	}
	_, err := fmt.Fprintln(cmd.OutOrStdout(), url)
	return err
}

func (f linkFlags) printLink(cmd *cobra.Command, daemon *client.Client, id codestory.StoryID) error {
	ctx := cmd.Context()
	var urls codestory.KeyURLs
	if f.rotate {
		var err error
		if urls, err = daemon.RotatePlayKey(ctx, id); err != nil {
			return err
		}
	}
	switch {
	case f.rotate && f.feed:
		return f.print(cmd, urls.FeedURL, urls)
	case f.rotate && f.chapter == 0:
		return f.print(cmd, urls.PlayURL, urls)
	case f.feed:
		story, err := daemon.Story(ctx, id)
		if err != nil {
			return err
		}
		urls = codestory.KeyURLs{PlayURL: deref(story.PlayURL), FeedURL: *story.FeedURL, PlaylistURL: *story.PlaylistURL}
		return f.print(cmd, urls.FeedURL, urls)
	}
	link, err := daemon.Audio(ctx, id, f.chapter, time.Duration(f.expires))
	if err != nil {
		return err
	}
	if f.rotate {
		return f.print(cmd, *link.PlayURL, link)
	}
	return f.print(cmd, link.URL, link)
}

func (f linkFlags) printLibrary(cmd *cobra.Command, daemon *client.Client) error {
	ask := daemon.Library
	if f.rotate {
		ask = daemon.RotateLibraryKey
	}
	library, err := ask(cmd.Context(), f.user)
	if err != nil {
		return err
	}
	return f.print(cmd, library.FeedURL, library)
}
