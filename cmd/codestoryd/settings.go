package main

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
	"github.com/spf13/pflag"

	"github.com/codestory/codestoryd/daemon/watch"
)

// setting is one row of the settings' table. It has a name on the command line, or only in the environment as the S3
// tools have it; the config file knows it by the same name.
type setting struct {
	flag   string
	env    string
	other  string // the variable's other name, where it has one
	usage  string
	normal func(*program, values) (string, error) // the default; nil is ""
	unset  string                                 // what it means for it not to be set; "" is "-"
	list   bool                                   // may be given more than once
	yes    bool                                   // the flag alone, without a value, is 1
	url    bool                                   // of a server, which may have a password in it
	secret bool
}

// name is what the setting is called in the config file and by `codestoryd config`.
func (s setting) name() string {
	if s.flag != "" {
		return s.flag
	}
	return s.env
}

// settings are all there are, in the order that `codestoryd config` prints them. A default may depend on rows above.
var settings = []setting{
	{flag: "config", env: "CODESTORYD_CONFIG", usage: "the config file (TOML)", normal: defaultConfig},
	{flag: "dir", env: "CODESTORYD_DIR", usage: "the output directory; made if absent", normal: fixed("output")},
	{flag: "data-dir", env: "CODESTORYD_DATA_DIR", usage: "where the database, tokens, keys and the embedded store are", normal: defaultDataDir},
	{flag: "listen", env: "CODESTORYD_LISTEN", usage: "address of the HTTP API; port 0 picks a free one", normal: fixed("127.0.0.1:7788")},
	{flag: "tls-cert", env: "CODESTORYD_TLS_CERT", usage: "the certificate, with its chain (PEM), to serve HTTPS; read again when it changes"},
	{flag: "tls-key", env: "CODESTORYD_TLS_KEY", usage: "the certificate's private key (PEM)"},
	{flag: "insecure-listen", env: "CODESTORYD_INSECURE_LISTEN", usage: "serve other machines without TLS: whoever is on the way reads tokens and links", normal: fixed("0"), yes: true},
	{flag: "allow-origin", env: "CODESTORYD_ALLOW_ORIGIN", usage: "a web page's origin, scheme://host[:port], that may use the API; repeatable", list: true, url: true},
	{flag: "jwt-jwks", env: "CODESTORYD_JWT_JWKS", usage: "the JWK set, a file or URL, of a service whose JWTs let its users in"},
	{flag: "jwt-issuer", env: "CODESTORYD_JWT_ISSUER", usage: "the iss that its JWTs have"},
	{flag: "jwt-audience", env: "CODESTORYD_JWT_AUDIENCE", usage: "the aud that its JWTs have"},
	{env: "S3_BUCKET", usage: "the bucket"},
	{flag: "remote", env: "CODESTORYD_REMOTE", usage: "local, s3 or rclone:NAME:PATH", normal: defaultRemote},
	{flag: "log-level", env: "CODESTORYD_LOG_LEVEL", usage: "debug, info, warn or error", normal: fixed("info")},
	{flag: "log-format", env: "CODESTORYD_LOG_FORMAT", usage: "text or json", normal: fixed("text")},
	{flag: "bwlimit", env: "CODESTORYD_BWLIMIT", usage: "upload limit in rclone's syntax, such as 1M or a timetable", normal: fixed("off")},
	{flag: "concurrency", env: "CODESTORYD_CONCURRENCY", usage: "uploads at once", normal: fixed("auto")},
	{flag: "settle", env: "CODESTORYD_SETTLE", usage: "how long a file has to be quiet, where nothing tells that its writer has closed it", normal: fixed(watch.DefaultSettle.String())},
	{flag: "exclude", env: "CODESTORYD_EXCLUDE", usage: "paths not to upload, in rclone's filter syntax; repeatable", list: true},
	{flag: "public-url", env: "CODESTORYD_PUBLIC_URL", usage: "base of player URLs and local links; the listen address unless set", unset: "(the listen address)", url: true},
	{env: "S3_ENDPOINT_URL", usage: "the S3 server; AWS unless set", url: true},
	{env: "S3_PUBLIC_ENDPOINT_URL", usage: "the address that players use, where it differs", url: true},
	{env: "S3_CREATE_BUCKET", usage: "1 makes the bucket where it is absent"},
	{env: "AWS_REGION", other: "AWS_DEFAULT_REGION", usage: "the region", unset: "(the endpoint's or profile's, else us-east-1)"},
	{env: "AWS_ACCESS_KEY_ID", usage: "the access key"},
	{env: "AWS_SECRET_ACCESS_KEY", usage: "its secret", secret: true},
	{env: "AWS_SESSION_TOKEN", usage: "the session, for temporary credentials", secret: true},
	{env: "AWS_PROFILE", usage: "a profile of AWS's shared files"},
	{env: "AWS_CONFIG_FILE", usage: "one of the shared files", unset: "(.aws/config of the home directory)"},
	{env: "AWS_SHARED_CREDENTIALS_FILE", usage: "the other", unset: "(.aws/credentials of the home directory)"},
	{env: "AWS_CA_BUNDLE", usage: "certificates (PEM) to trust in place of the system's"},
	{env: "HTTPS_PROXY", other: "https_proxy", usage: "the proxy to https endpoints", url: true},
	{env: "HTTP_PROXY", other: "http_proxy", usage: "the proxy to http endpoints", url: true},
	{env: "NO_PROXY", other: "no_proxy", usage: "hosts that are reached without"},
}

// value is a setting in force.
type value struct {
	items  []string // one, unless the setting is a list; none where it is not set
	source string   // where it came from, for people
}

const fromFile = "config file" // as a source

// values are the settings in force, by name.
type values map[string]value

// get is the value of a setting that is no list; "" where it is not set.
func (v values) get(name string) string {
	if items := v[name].items; len(items) > 0 {
		return items[0]
	}
	return ""
}

// flagValues is what the command line says.
type flagValues struct {
	set   *pflag.FlagSet
	lists map[string]*[]string
	texts map[string]*string
}

func (f *flagValues) register(set *pflag.FlagSet) {
	f.set, f.lists, f.texts = set, map[string]*[]string{}, map[string]*string{}
	for _, s := range settings {
		switch {
		case s.flag == "":
		case s.list:
			f.lists[s.flag] = set.StringArray(s.flag, nil, s.usage)
		default:
			f.texts[s.flag] = set.String(s.flag, "", s.usage)
			if s.yes {
				set.Lookup(s.flag).NoOptDefVal = "1"
			}
		}
	}
}

// lookup is what the command line says of a setting; nil where it says nothing.
func (f *flagValues) lookup(s setting) []string {
	switch {
	case s.flag == "" || !f.set.Changed(s.flag):
		return nil
	case s.list:
		return *f.lists[s.flag]
	default:
		return []string{*f.texts[s.flag]}
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
		if found.source == "" && s.normal != nil {
			normal, err := s.normal(p, v)
			if err != nil {
				return nil, &usageError{err}
			}
			found = value{[]string{normal}, "default"}
		}
		v[s.name()] = found
		if s.flag == "config" {
			if file, err = readConfig(found.items[0], found.source != "default"); err != nil {
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
	name := s.env
	if p.getenv(name) == "" && s.other != "" {
		name = s.other
	}
	if text := p.getenv(name); text != "" {
		items := []string{text}
		if s.list {
			var err error
			if items, err = csv.NewReader(strings.NewReader(text)).Read(); err != nil {
				return value{}, usagef("%s=%q: separate them by commas, and put one with commas of its own in double quotes: %w",
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

// readConfig reads the config file: the settings by the names of their flags, or of their variables where they have
// no flag. It may be absent where nobody named it.
func readConfig(path string, named bool) (map[string][]string, error) {
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
			return nil, usagef("the config file %s has %q, which is no setting: see codestoryd config", path, name)
		}
		items, err := configItems(v, settings[i].list)
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
		return "it is no TOML"
	}
	return fmt.Sprintf("line %d, last key %q: use KEY = \"TEXT\", each key once", fault.Position.Line, fault.LastKey)
}

// configItems is a value of the config file as a flag would have it.
func configItems(v any, list bool) ([]string, error) {
	switch v := v.(type) {
	case string:
		return []string{v}, nil
	case int64, bool:
		return []string{fmt.Sprint(v)}, nil
	case []any:
		var items []string
		for _, item := range v {
			s, ok := item.(string)
			if !ok || !list {
				return nil, errors.New("takes one text, not a list of others")
			}
			items = append(items, s)
		}
		return items, nil
	default:
		return nil, errors.New("takes a text in quotes")
	}
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

func defaultConfig(*program, values) (string, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("finding the config folder: %w: set --config", err)
	}
	return filepath.Join(dir, "codestoryd", "config.toml"), nil
}

// defaultDataDir is where programs keep a user's data: the XDG Base Directory Specification on Linux and the like,
// Application Support on macOS, the local application data on Windows.
func defaultDataDir(p *program, _ values) (string, error) {
	var dir string
	home, err := os.UserHomeDir()
	switch {
	case runtime.GOOS == "windows":
		dir = p.getenv("LOCALAPPDATA")
	case err != nil:
	case runtime.GOOS == "darwin":
		dir = filepath.Join(home, "Library", "Application Support")
	default:
		if dir = p.getenv("XDG_DATA_HOME"); !filepath.IsAbs(dir) {
			dir = filepath.Join(home, ".local", "share")
		}
	}
	if dir == "" {
		return "", errors.New("the data folder of this user is not known: set --data-dir")
	}
	return filepath.Join(dir, "codestoryd"), nil
}
