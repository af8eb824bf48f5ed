package main

import (
	"cmp"
	"net/url"
	"strings"

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
