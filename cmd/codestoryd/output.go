package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"unicode"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/internal/problem"
	"github.com/codestory/codestoryd/remote/rclone"
)

// Names of files and answers of servers may hold control sequences for a terminal. Commands print none.

// printJSON prints v as one document.
func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(jsonWriter{w})
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// jsonWriter escapes U+007F to U+009F, which encoding/json does not. Each Write must hold whole characters.
type jsonWriter struct{ w io.Writer }

func (j jsonWriter) Write(b []byte) (int, error) {
	var escaped bytes.Buffer
	for _, r := range string(b) {
		if r >= 0x7f && r <= 0x9f {
			fmt.Fprintf(&escaped, `\u%04x`, r)
		} else {
			escaped.WriteRune(r)
		}
	}
	if _, err := j.w.Write(escaped.Bytes()); err != nil {
		return 0, err
	}
	return len(b), nil
}

// visible escapes control characters and bidirectional controls for a terminal.
func visible(text string) string {
	var escaped strings.Builder
	for _, r := range text {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			fmt.Fprintf(&escaped, `\u%04x`, r)
		} else {
			escaped.WriteRune(r)
		}
	}
	return escaped.String()
}

// printable returns a name for a terminal, quoted if it holds characters to escape.
func printable(name string) string {
	if quoted := strconv.Quote(name); strings.ContainsAny(quoted[1:len(quoted)-1], "\\") {
		return quoted
	}
	return name
}

const hidden = "(hidden)"

// shown formats the value of a setting without secrets or possible secrets.
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

// withoutSecrets hides the options of rclone remotes, and the user, query and fragment of URLs. isURL says that item should be
// a URL, even if it does not parse.
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

// checkConfigFile reports a config file that has a secret and that other users of this machine can read, or one that they can
// replace. Windows has no such permissions.
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
