package main

import (
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/codestory/codestoryd/daemon/watch"
)

// config is the settings in force, checked.
type config struct {
	dir         string // absolute
	dataDir     string // absolute
	listen      listenSettings
	origins     []string // of pages that may use the API
	jwt         jwtSettings
	remote      remoteName
	logLevel    slog.Level
	logJSON     bool
	bandwidth   *bandwidth
	concurrency int
	settle      time.Duration
	rules       watch.Rules
	publicURL   *url.URL // nil is the listen address
	s3          s3Settings

	values     values // as they were given
	file       string // the config file
	fileSecret bool   // it has a secret in it
}

// remoteName is the setting "remote", taken apart.
type remoteName struct {
	kind   string // local, s3 or rclone
	rclone string // NAME:PATH
}

// config resolves and checks every setting. Errors are of usage, and name the setting.
func (p *program) config() (config, error) {
	v, err := p.resolve()
	if err != nil {
		return config{}, err
	}
	return check(v)
}

func check(v values) (c config, err error) {
	c.values = v
	wrong := func(name string, err error) error {
		i := slices.IndexFunc(settings, func(s setting) bool { return s.name() == name })
		return usagef("%s %q (from %s): %w", name, shown(settings[i], v[name]), v[name].source, err)
	}
	if c.dir, c.dataDir, err = checkDirs(v, wrong); err != nil {
		return c, err
	}
	if c.listen, err = checkListen(v, wrong); err != nil {
		return c, err
	}
	if c.origins, err = parseOrigins(v["allow-origin"].items); err != nil {
		return c, wrong("allow-origin", err)
	}
	if c.jwt, err = checkJWT(v); err != nil {
		return c, err
	}
	if c.remote, err = parseRemote(v.get("remote")); err != nil {
		return c, wrong("remote", err)
	}
	if err = c.logLevel.UnmarshalText([]byte(v.get("log-level"))); err != nil {
		return c, wrong("log-level", fmt.Errorf("use debug, info, warn or error"))
	}
	if c.logJSON, err = parseLogFormat(v.get("log-format")); err != nil {
		return c, wrong("log-format", err)
	}
	if c.bandwidth, err = parseBandwidth(v.get("bwlimit")); err != nil {
		return c, wrong("bwlimit", err)
	}
	if c.concurrency, err = parseConcurrency(v.get("concurrency")); err != nil {
		return c, wrong("concurrency", err)
	}
	if c.settle, err = parseSettle(v.get("settle")); err != nil {
		return c, wrong("settle", err)
	}
	if c.rules.Exclude, err = parseExcludes(v["exclude"].items); err != nil {
		return c, wrong("exclude", err)
	}
	if c.publicURL, err = parsePublicURL(v.get("public-url")); err != nil {
		return c, wrong("public-url", err)
	}
	c.file = v.get("config")
	for _, s := range settings {
		value := v[s.name()]
		if value.source == fromFile && shown(s, value) != strings.Join(value.items, ", ") {
			c.fileSecret = true
		}
	}
	c.s3, err = checkS3(v, c.remote.kind, wrong)
	return c, err
}

// checkDirs returns the output directory and the data directory, absolute.
func checkDirs(v values, wrong func(name string, err error) error) (dir, dataDir string, err error) {
	if dir, err = filepath.Abs(v.get("dir")); err != nil {
		return "", "", wrong("dir", err)
	}
	if dataDir, err = filepath.Abs(v.get("data-dir")); err != nil {
		return "", "", wrong("data-dir", err)
	}
	if below, err := filepath.Rel(dir, dataDir); err == nil && filepath.IsLocal(below) {
		return "", "", wrong("data-dir", fmt.Errorf("it lies in the output directory, which is only read: choose another"))
	}
	return dir, dataDir, nil
}

func parseRemote(s string) (remoteName, error) {
	if rest, ok := strings.CutPrefix(s, "rclone:"); ok {
		if name, _, ok := strings.Cut(strings.TrimPrefix(rest, ":"), ":"); !ok || name == "" {
			return remoteName{}, fmt.Errorf("use rclone:NAME:PATH, with a NAME that `rclone listremotes` prints")
		}
		return remoteName{kind: "rclone", rclone: rest}, nil
	}
	if s != "local" && s != "s3" {
		return remoteName{}, fmt.Errorf("use local, s3 or rclone:NAME:PATH")
	}
	return remoteName{kind: s}, nil
}

func parseBool(s string) (bool, error) {
	b, err := strconv.ParseBool(s)
	if err != nil {
		return false, fmt.Errorf("use 1 or 0")
	}
	return b, nil
}

func parseLogFormat(s string) (json bool, err error) {
	if s != "text" && s != "json" {
		return false, fmt.Errorf("use text or json")
	}
	return s == "json", nil
}

// maxConcurrency bounds the uploads at once. Each has a connection and a buffer.
const maxConcurrency = 128

// parseConcurrency returns 0 if it is left to the daemon.
func parseConcurrency(s string) (int, error) {
	if s == "auto" {
		return 0, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > maxConcurrency {
		return 0, fmt.Errorf("use a number from 1 to %d, or auto", maxConcurrency)
	}
	return n, nil
}

// maxSettle bounds how long a file may have to be quiet: one that takes longer to be written is held open for it.
const maxSettle = time.Hour

func parseSettle(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 || d > maxSettle {
		return 0, fmt.Errorf("use a time such as 500ms or 10s, of an hour at most")
	}
	return d, nil
}

func parsePublicURL(s string) (*url.URL, error) {
	if s == "" {
		return nil, nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("use http:// or https://, a host and at most a path")
	}
	return u, nil
}

func (p *program) configCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "config",
		Short: "Print each setting in force and where it came from, secrets hidden",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v, err := p.resolve()
			if err != nil {
				return err
			}
			table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 8, 2, ' ', 0)
			for _, s := range settings {
				fmt.Fprintf(table, "%s\t%s\t%s\n", s.name(), visible(shown(s, v[s.name()])), v[s.name()].source)
			}
			if err := table.Flush(); err != nil {
				return err
			}
			_, err = check(v)
			return err
		},
	}
}
