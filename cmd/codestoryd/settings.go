package main

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"unicode"

	"github.com/BurntSushi/toml"
	"github.com/spf13/pflag"

	"github.com/codestory/codestoryd/daemon/watch"
)

// setting is one row of the table of settings. It is named by its flag, or by its environment variable if only S3 tools
// know it; the config file uses the same name.
type setting struct {
	flag    string
	env     string
	aliases []string // other names of the variable, first to last
	usage   string
	def     func(*program, values) (string, error) // the default; nil is ""
	unset   string                                 // what `codestoryd config` prints if it is not set; "" is "-"
	list    bool                                   // may be given more than once
	boolean bool                                   // the flag without a value is 1; the config file may have true or false
	number  bool                                   // the config file may have a number
	url     bool                                   // a URL, which may have a password in it
	secret  bool
}

// name is what the setting is called in the config file and by `codestoryd config`.
func (s setting) name() string {
	if s.flag != "" {
		return s.flag
	}
	return s.env
}

// settings is the table of all settings, in the order that `codestoryd config` prints. A default may depend on rows above.
var settings = []setting{
	{flag: "config", env: "CODESTORYD_CONFIG", usage: "the config file (TOML)", def: defaultConfig},
	{flag: "dir", env: "CODESTORYD_DIR", usage: "the output directory; made if absent", def: fixed("output")},
	{flag: "data-dir", env: "CODESTORYD_DATA_DIR", usage: "directory of the database, tokens, keys and the embedded store", def: defaultDataDir},
	{flag: "listen", env: "CODESTORYD_LISTEN", usage: "address of the HTTP API; port 0 picks a free port", def: fixed("127.0.0.1:7788")},
	{flag: "tls-cert", env: "CODESTORYD_TLS_CERT", usage: "certificate chain (PEM) to serve HTTPS; read again when it changes"},
	{flag: "tls-key", env: "CODESTORYD_TLS_KEY", usage: "the certificate's private key (PEM)"},
	{flag: "insecure-listen", env: "CODESTORYD_INSECURE_LISTEN", usage: "serve other machines without TLS: others on the network can read tokens and links", def: fixed("0"), boolean: true},
	{flag: "allow-origin", env: "CODESTORYD_ALLOW_ORIGIN", usage: "origin of a web page, scheme://host[:port], that may use the API; repeatable", list: true, url: true},
	{flag: "jwt-jwks", env: "CODESTORYD_JWT_JWKS", usage: "JWK set (a file or URL) of a service whose JWTs are accepted"},
	{flag: "jwt-issuer", env: "CODESTORYD_JWT_ISSUER", usage: "the iss of its JWTs"},
	{flag: "jwt-audience", env: "CODESTORYD_JWT_AUDIENCE", usage: "the aud of its JWTs"},
	{env: "S3_BUCKET", usage: "the bucket"},
	{flag: "remote", env: "CODESTORYD_REMOTE", usage: "local, s3 or rclone:NAME:PATH", def: defaultRemote},
	{flag: "log-level", env: "CODESTORYD_LOG_LEVEL", usage: "debug, info, warn or error", def: fixed("info")},
	{flag: "log-format", env: "CODESTORYD_LOG_FORMAT", usage: "text or json", def: fixed("text")},
	{flag: "bwlimit", env: "CODESTORYD_BWLIMIT", usage: "upload limit in rclone's syntax, such as 1M or a timetable", def: fixed("off"), number: true},
	{flag: "concurrency", env: "CODESTORYD_CONCURRENCY", usage: "uploads at once", def: fixed("auto"), number: true},
	{flag: "settle", env: "CODESTORYD_SETTLE", usage: "how long a file must be quiet before it counts as finished, if the system cannot tell that its writer closed it", def: fixed(watch.DefaultSettle.String())},
	{flag: "exclude", env: "CODESTORYD_EXCLUDE", usage: "paths not to upload, in rclone's filter syntax; repeatable", list: true},
	{flag: "public-url", env: "CODESTORYD_PUBLIC_URL", usage: "base of player URLs and local links; the listen address if not set", unset: "(the listen address)", url: true},
	{env: "S3_ENDPOINT_URL", aliases: []string{"AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"}, usage: "URL of the S3 server; AWS if not set", url: true},
	{env: "S3_PUBLIC_ENDPOINT_URL", usage: "the address that players use, if it differs", url: true},
	{env: "S3_CREATE_BUCKET", usage: "1 makes the bucket if it is absent", boolean: true},
	{env: "AWS_REGION", aliases: []string{"AWS_DEFAULT_REGION"}, usage: "the region", unset: "(the endpoint's or profile's, else us-east-1)"},
	{env: "AWS_ACCESS_KEY_ID", usage: "the access key"},
	{env: "AWS_SECRET_ACCESS_KEY", usage: "the secret key", secret: true},
	{env: "AWS_SESSION_TOKEN", usage: "session token of temporary credentials", secret: true},
	{env: "AWS_PROFILE", usage: "profile in the shared files of AWS"},
	{env: "AWS_CONFIG_FILE", usage: "the shared config file of AWS", unset: "(.aws/config of the home directory)"},
	{env: "AWS_SHARED_CREDENTIALS_FILE", usage: "the shared credentials file of AWS", unset: "(.aws/credentials of the home directory)"},
	{env: "AWS_CA_BUNDLE", usage: "CA certificates (PEM) to trust instead of the system's"},
	{env: "HTTPS_PROXY", aliases: []string{"https_proxy"}, usage: "the proxy to https endpoints", url: true},
	{env: "HTTP_PROXY", aliases: []string{"http_proxy"}, usage: "the proxy to http endpoints", url: true},
	{env: "NO_PROXY", aliases: []string{"no_proxy"}, usage: "hosts to reach without a proxy"},
}

// value is a setting in force.
type value struct {
	items  []string // one, unless the setting is a list; none if it is not set
	source string   // where it came from, for people
}

// Sources of values.
const (
	fromFile  = "config file"
	byDefault = "default"
)

// hasControl reports whether s has a character that no value may have: a line end breaks what it is put into.
func hasControl(s string) bool { return strings.ContainsFunc(s, unicode.IsControl) }

// values are the settings in force, by name.
type values map[string]value

// get returns the value of a setting that is not a list; "" if it is not set.
func (v values) get(name string) string {
	if items := v[name].items; len(items) > 0 {
		return items[0]
	}
	return ""
}

// flagValues are the settings on the command line.
type flagValues struct {
	set   *pflag.FlagSet
	lists map[string]*[]string
	texts map[string]*once
}

// once is a flag that may be given once.
type once struct {
	text  string
	given bool
}

func (o *once) Set(s string) error {
	if o.given {
		return errors.New("it is given twice, and takes one value")
	}
	o.text, o.given = s, true
	return nil
}

func (o *once) String() string { return o.text }

func (*once) Type() string { return "string" }

func (f *flagValues) register(set *pflag.FlagSet) {
	f.set, f.lists, f.texts = set, map[string]*[]string{}, map[string]*once{}
	for _, s := range settings {
		switch {
		case s.flag == "":
		case s.list:
			f.lists[s.flag] = set.StringArray(s.flag, nil, s.usage)
		default:
			f.texts[s.flag] = &once{}
			set.Var(f.texts[s.flag], s.flag, s.usage)
			if s.boolean {
				set.Lookup(s.flag).NoOptDefVal = "1"
			}
		}
	}
}

// lookup returns the values of a setting on the command line; nil if it is not there.
func (f *flagValues) lookup(s setting) []string {
	switch {
	case s.flag == "" || !f.set.Changed(s.flag):
		return nil
	case s.list:
		return *f.lists[s.flag]
	default:
		return []string{f.texts[s.flag].text}
	}
}

// resolve finds the value of every setting: the flag's, else the environment's, else the config file's, else the
// default. An empty value in the environment counts as not set. Errors are of usage.
func (p *program) resolve() (values, error) {
	v := values{}
	var file map[string][]string
	for _, s := range settings {
		found, err := p.find(s, file)
		if err != nil {
			return nil, err
		}
		if found.source == "" && s.def != nil {
			def, err := s.def(p, v)
			if err != nil {
				return nil, &usageError{err}
			}
			found = value{[]string{def}, byDefault}
		}
		if i := slices.IndexFunc(found.items, hasControl); i >= 0 {
			return nil, usagef("%s (from %s) has a line end or another control character: take it out", s.name(), found.source)
		}
		v[s.name()] = found
		if s.flag == "config" {
			if file, err = readConfig(found.items[0], found.source != byDefault); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}

func (p *program) find(s setting, file map[string][]string) (value, error) {
	if items := p.flags.lookup(s); items != nil {
		return value{items, "flag --" + s.flag}, nil
	}
	for _, name := range append([]string{s.env}, s.aliases...) {
		text := p.getenv(name)
		if text == "" {
			continue
		}
		items := []string{text}
		if s.list {
			var err error
			if items, err = csv.NewReader(strings.NewReader(text)).Read(); err != nil {
				return value{}, usagef("%s=%q: separate the items by commas, and put an item that contains commas in double quotes: %w",
					name, withoutSecrets(text, s.url), err)
			}
		}
		return value{items, "environment " + name}, nil
	}
	if items, ok := file[s.name()]; ok {
		return value{items, fromFile}, nil
	}
	return value{}, nil
}

// readConfig reads the config file. It may be absent unless it is named.
func readConfig(path string, named bool) (map[string][]string, error) {
	if path == "" {
		return nil, nil
	}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && !named {
		return nil, nil
	}
	if err != nil {
		return nil, usagef("the config file cannot be read: %w", err)
	}
	var raw map[string]any
	if err := toml.Unmarshal(b, &raw); err != nil {
		return nil, usagef("the config file %s does not parse: %s", path, whereTOML(err))
	}
	file := map[string][]string{}
	for name, v := range raw {
		i := slices.IndexFunc(settings, func(s setting) bool { return s.name() == name && name != "config" })
		if i < 0 {
			return nil, usagef("the config file %s has %q, which is not a setting%s: see codestoryd config", path, name, didYouMean(name, settingNames()))
		}
		items, err := configItems(v, settings[i])
		if err != nil {
			return nil, usagef("the config file %s: %s %w", path, name, err)
		}
		file[name] = items
	}
	return file, nil
}

// whereTOML is the place of a fault in a config file. The parser's own message may quote a secret.
func whereTOML(err error) string {
	fault, ok := errors.AsType[toml.ParseError](err)
	if !ok {
		return "it is not TOML"
	}
	return fmt.Sprintf("line %d, last key %q: use KEY = \"VALUE\", each key once", fault.Position.Line, fault.LastKey)
}

// configItems converts a value of the config file to what a flag would have.
func configItems(v any, s setting) ([]string, error) {
	switch v := v.(type) {
	case string:
		return []string{v}, nil
	case bool:
		if s.boolean {
			return []string{fmt.Sprint(v)}, nil
		}
	case int64:
		if s.number || s.boolean {
			return []string{fmt.Sprint(v)}, nil
		}
	case []any:
		if s.list {
			return stringsOf(v)
		}
	}
	switch {
	case s.list:
		return nil, errors.New("takes a list of strings: [\"A\", \"B\"]")
	case s.boolean:
		return nil, errors.New("takes true or false")
	case s.number:
		return nil, errors.New("takes a number, or a string in quotes")
	default:
		return nil, errors.New("takes one string in quotes")
	}
}

func stringsOf(list []any) (items []string, err error) {
	for _, item := range list {
		s, ok := item.(string)
		if !ok {
			return nil, fmt.Errorf("takes strings in quotes, and has %v", item)
		}
		items = append(items, s)
	}
	return items, nil
}

// settingNames are the names that the config file may have.
func settingNames() (names []string) {
	for _, s := range settings {
		if s.name() != "config" {
			names = append(names, s.name())
		}
	}
	return names
}

func fixed(s string) func(*program, values) (string, error) {
	return func(*program, values) (string, error) { return s, nil }
}

func defaultRemote(_ *program, v values) (string, error) {
	if v.get("S3_BUCKET") != "" {
		return "s3", nil
	}
	return "local", nil
}

// defaultConfig is "" if there is no folder of the user's settings: there is no config file then.
func defaultConfig(p *program, _ values) (string, error) {
	if dir, err := os.UserConfigDir(); err == nil {
		return filepath.Join(dir, "codestoryd", "config.toml"), nil
	}
	if home := p.home(); home != "" {
		return filepath.Join(home, ".config", "codestoryd", "config.toml"), nil
	}
	return "", nil
}

// defaultDataDir is where programs keep a user's data: the XDG Base Directory Specification on Linux and the like,
// Application Support on macOS, the local application data on Windows.
func defaultDataDir(p *program, _ values) (string, error) {
	var dir string
	switch home := p.home(); {
	case runtime.GOOS == "windows":
		dir = p.getenv("LOCALAPPDATA")
	case runtime.GOOS == "darwin" && home != "":
		dir = filepath.Join(home, "Library", "Application Support")
	case runtime.GOOS == "darwin":
	case filepath.IsAbs(p.getenv("XDG_DATA_HOME")):
		dir = p.getenv("XDG_DATA_HOME")
	case home != "":
		dir = filepath.Join(home, ".local", "share")
	}
	if dir == "" {
		return "", errors.New("this user has no home directory to keep data in: set --data-dir, XDG_DATA_HOME or HOME")
	}
	return filepath.Join(dir, "codestoryd"), nil
}

// home is the user's home directory: HOME's, else the one that the system has for the user, as for a systemd service; ""
// if there is none.
func (p *program) home() string {
	if dir, err := os.UserHomeDir(); err == nil && filepath.IsAbs(dir) {
		return dir
	}
	u, err := user.Current()
	if err != nil {
		return ""
	}
	if info, err := os.Stat(u.HomeDir); err != nil || !info.IsDir() || !filepath.IsAbs(u.HomeDir) {
		return "" // such as /nonexistent
	}
	return u.HomeDir
}
