package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/api"
	"github.com/codestory/codestoryd/daemon/access"
	"github.com/codestory/codestoryd/queue"
)

func (p *program) tokenCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token",
		Short: "API tokens for others",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return usagef("use token add, token ls or token rm") },
	}
	cmd.AddCommand(p.tokenAddCommand(), p.tokenListCommand(), p.tokenRemoveCommand())
	return cmd
}

func (p *program) tokenAddCommand() *cobra.Command {
	var user, scope string
	cmd := &cobra.Command{
		Use:   "add NAME",
		Short: "Make a token and print it, once",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := access.Check(args[0], codestory.Scope(scope)); err != nil {
				return &usageError{err}
			}
			return p.withTokens(cmd.Context(), func(t tokens) error {
				secret, err := t.add(cmd.Context(), api.TokenRequest{Name: args[0], User: user, Scope: codestory.Scope(scope)})
				if err != nil {
					return err
				}
				_, err = fmt.Fprintln(cmd.OutOrStdout(), secret)
				return err
			})
		},
	}
	cmd.Flags().StringVar(&user, "user", "", "the user whose stories it reads; the daemon's own user if not given")
	cmd.Flags().StringVar(&scope, "scope", string(codestory.ScopePlay), "play (read that user's stories) or manage (everything)")
	return cmd
}

func (p *program) tokenListCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "List the tokens",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.withTokens(cmd.Context(), func(t tokens) error {
				list, err := t.list(cmd.Context())
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(cmd.OutOrStdout(), list)
				}
				table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 8, 2, ' ', 0)
				fmt.Fprintln(table, "NAME\tUSER\tSCOPE\tCREATED\tLAST USED")
				for _, t := range list {
					used := "never"
					if t.LastUsed != nil {
						used = t.LastUsed.Local().Format(time.DateTime)
					}
					fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", t.Name, visible(t.User), t.Scope, t.CreatedAt.Local().Format(time.DateTime), used)
				}
				return table.Flush()
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (p *program) tokenRemoveCommand() *cobra.Command {
	var keys bool
	cmd := &cobra.Command{
		Use:   "rm NAME",
		Short: "End a token",
		Long: `End a token. Player URLs and feeds that were made with it keep working: they hold a KEY, not the token. --keys also
replaces the KEYs of the token's user, so that these URLs stop working, also on the user's other devices.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withTokens(cmd.Context(), func(t tokens) error {
				list, err := t.list(cmd.Context())
				if err != nil {
					return err
				}
				user := "the daemon's own user"
				if i := slices.IndexFunc(list, func(t codestory.Token) bool { return t.Name == args[0] }); i >= 0 && list[i].User != "" {
					user = fmt.Sprintf("user %q", list[i].User)
				}
				if err := t.remove(cmd.Context(), args[0], keys); err != nil {
					return err
				}
				if keys {
					_, err = fmt.Fprintf(cmd.OutOrStdout(), "token %s ended; the KEYs of %s were replaced\n", args[0], user)
					return err
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "token %s ended; player URLs and feeds with the KEYs of %s go on working: "+
					"to end those, use token rm --keys, or codestoryd link --rotate\n", args[0], user)
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&keys, "keys", false, "replace the KEYs of its user too")
	return cmd
}

// tokens are the API tokens: the running daemon's, or those in its files.
type tokens struct {
	list   func(context.Context) ([]codestory.Token, error)
	add    func(context.Context, api.TokenRequest) (secret string, err error)
	remove func(ctx context.Context, name string, keys bool) error
}

// withTokens calls fn with the tokens: the daemon's if it runs, else those in its files. It holds the database's lock
// meanwhile, so that no daemon starts.
func (p *program) withTokens(ctx context.Context, fn func(tokens) error) (err error) {
	c, err := p.config()
	if err != nil {
		return err
	}
	daemon, err := c.daemon(ctx)
	if err == nil {
		defer daemon.Close()
		return fn(tokens{list: daemon.Tokens, add: daemon.AddToken, remove: daemon.RemoveToken})
	}
	if !errors.Is(err, errNotRunning) {
		return err
	}
	if err := makeDataDir(c.dataDir); err != nil {
		return err
	}
	q, err := queue.Open(filepath.Join(c.dataDir, databaseFile), "", queue.Options{})
	if err != nil {
		return err
	}
	defer closing(&err, q.Close)
	keys, err := access.Open(c.dataDir, nil)
	if err != nil {
		return err
	}
	defer closing(&err, keys.Close)
	return fn(tokens{
		list: func(context.Context) ([]codestory.Token, error) { return keys.Tokens(), nil },
		add: func(_ context.Context, r api.TokenRequest) (string, error) {
			return keys.AddToken(codestory.Token{Name: r.Name, User: r.User, Scope: r.Scope})
		},
		remove: func(_ context.Context, name string, alsoKeys bool) error { return keys.RemoveToken(name, alsoKeys) },
	})
}
