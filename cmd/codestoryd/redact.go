package main

import (
	"cmp"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/internal/problem"
	"github.com/codestory/codestoryd/remote/rclone"
)

const hidden = "(hidden)"

// shown is the value of a setting for people: without secrets, and without what may be one.
func shown(s setting, v value) string {
	switch {
	case len(v.items) == 0:
		return cmp.Or(s.unset, "-")
	case s.secret:
		return hidden
	}
	items := make([]string, len(v.items))
	for i, item := range v.items {
		items[i] = withoutSecrets(item, s.url)
		if s.flag == "remote" && !strings.HasPrefix(item, "rclone:") && strings.ContainsAny(item, ",=@") {
			items[i] = hidden // one of rclone's, written without its prefix
		}
	}
	return strings.Join(items, ", ")
}

// withoutSecrets hides the options of rclone remotes, and the user, query and fragment of URLs. isURL is of what should be
// one, whether or not it is.
func withoutSecrets(item string, isURL bool) string {
	if name, ok := strings.CutPrefix(item, "rclone:"); ok {
		return "rclone:" + rclone.Redacted(name)
	}
	if !strings.Contains(item, "://") {
		if isURL && strings.ContainsAny(item, "@?#") {
			return hidden
		}
		return item
	}
	u, err := url.Parse(item)
	signs := strings.Count(item, "@")
	if err != nil || u.Host == "" || signs > 1 || signs == 1 && u.User == nil { // a password may hold what ends a URL's host
		return hidden
	}
	text := u.Scheme + "://"
	if signs == 1 {
		text += hidden + "@"
	}
	text += u.Host + u.EscapedPath()
	if u.RawQuery != "" || u.ForceQuery {
		text += "?" + hidden
	}
	if u.Fragment != "" {
		text += "#" + hidden
	}
	return text
}

// checkConfigFile reports a config file that other users of this machine can read, if it has a secret in it, or can
// replace. Windows has no such rights.
func (c config) checkConfigFile(problems *problem.Set) {
	info, err := os.Stat(c.file)
	if err != nil || runtime.GOOS == "windows" {
		return
	}
	if c.fileSecret && info.Mode().Perm()&0o044 != 0 {
		problems.Report(codestory.Problem{
			Code: "config_readable", Command: new(fmt.Sprintf("chmod 600 %q", c.file)),
			Message: "other users of this machine can read the secret in " + c.file + ": take that right away, and replace the secret if you do not trust them",
		})
	}
	for _, path := range []string{filepath.Dir(c.file), c.file} {
		info, err := os.Stat(path)
		if err == nil && info.Mode().Perm()&0o022 != 0 && info.Mode()&os.ModeSticky == 0 {
			problems.Report(codestory.Problem{
				Code: "config_open", Command: new(fmt.Sprintf("chmod go-w %q", path)),
				Message: "other users of this machine can replace the config file " + c.file + ": take that right away from " + path,
			})
		}
	}
}
