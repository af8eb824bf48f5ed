package rclone

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/rclone/rclone/fs"
	"github.com/rclone/rclone/fs/config/obscure"
	"github.com/rclone/rclone/fs/fspath"
)

const hiddenText = "(hidden)"

// Redacted is a remote for people: NAME:PATH, and NAME,(hidden):PATH for a connection string. The names of its options are
// hidden too: they are parts of a value that holds a comma and was not quoted.
func Redacted(name string) string {
	parsed, err := fspath.Parse(name)
	switch {
	case (err != nil || parsed.Name == "") && strings.ContainsAny(name, ",=@"):
		return hiddenText // rclone does not know where its options end
	case strings.Contains(name, "://") && len(parsed.Config) == 0 && strings.ContainsAny(name, "@?#"):
		return hiddenText // a URL, which is no remote
	case len(parsed.Config) == 0:
		return name
	case strings.ContainsAny(parsed.Path, `:,='"`):
		return parsed.Name + "," + hiddenText // what follows a colon that was not quoted
	}
	return parsed.Name + "," + hiddenText + ":" + parsed.Path
}

// public are the options of connection strings that messages may show. rclone marks those of its own that are secret, but
// not all of them: headers and URLs may hold anything.
var public = []string{"domain", "host", "port", "provider", "region", "remote", "type", "user", "vendor"}

// hiding replaces the secrets of a remote, and of the remote that it stands for, in rclone's messages.
func hiding(name string) *strings.Replacer {
	var pairs []string
	secrets := slices.Compact(slices.SortedFunc(slices.Values(secretsOf(name, 0)), func(a, b string) int {
		if len(a) != len(b) {
			return len(b) - len(a) // the longer first, which may hold the shorter
		}
		return strings.Compare(a, b)
	}))
	for _, secret := range secrets {
		pairs = append(pairs, secret, hiddenText)
	}
	return strings.NewReplacer(pairs...)
}

// deepest is how many remotes may stand for one another, as alias and crypt do, before their secrets are not looked for:
// rclone itself refuses a remote that stands for itself.
const deepest = 8

// minHidden is the length below which a text is no secret, and would hide parts of words.
const minHidden = 4

// secretsOf lists what must not be shown of a remote, in each spelling that messages have for it.
func secretsOf(name string, depth int) (secrets []string) {
	info, section, _, params, err := fs.ParseRemote(name)
	if err != nil {
		return nil
	}
	values := fs.ConfigMap(info.Prefix, info.Options, section, params)
	for option, value := range params {
		secrets = append(secrets, secretsIn(value, !slices.Contains(public, option))...)
	}
	for _, option := range info.Options {
		if value, ok := values.Get(option.Name); ok {
			isSecret := option.IsPassword || option.Sensitive || option.Name == "headers"
			secrets = append(secrets, secretsIn(value, isSecret && !slices.Contains(public, option.Name))...)
		}
	}
	if inner, ok := values.Get("remote"); ok && inner != "" && depth < deepest {
		secrets = append(secrets, secretsOf(inner, depth+1)...)
	}
	return secrets
}

// secretsIn lists the secrets in the value of an option: all of it, the password that it is the obscured form of, and what
// a URL says of users and in its query.
func secretsIn(value string, all bool) (secrets []string) {
	var found []string
	if all {
		found = append(found, value)
		if revealed, err := obscure.Reveal(value); err == nil {
			found = append(found, revealed)
		}
	}
	if u, err := url.Parse(value); err == nil && strings.Contains(value, "://") {
		password, _ := u.User.Password()
		found = append(found, u.User.String(), u.User.Username(), password, u.RawQuery)
		for _, values := range u.Query() {
			found = append(found, values...)
		}
	}
	for _, text := range found {
		quoted := strconv.Quote(text)
		for _, spelling := range []string{
			text, quoted[1 : len(quoted)-1], strings.ReplaceAll(text, `"`, `""`), strings.ReplaceAll(text, `'`, `''`),
			url.QueryEscape(text), url.PathEscape(text), strings.TrimPrefix(url.UserPassword("", text).String(), ":"),
		} {
			if len(spelling) >= minHidden {
				secrets = append(secrets, spelling)
			}
		}
	}
	return secrets
}

// hiddenError is an error whose text shows no secret.
type hiddenError struct {
	error
	text string
}

func (e *hiddenError) Error() string { return e.text }
func (e *hiddenError) Unwrap() error { return e.error }

// hide is err without the secrets of the remote in its text.
func (s *Store) hide(err error) error {
	if err == nil {
		return nil
	}
	text := s.hiding.Replace(err.Error())
	if text == err.Error() {
		return err
	}
	return &hiddenError{err, text}
}
