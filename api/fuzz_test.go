package api

import (
	"errors"
	"maps"
	"net/netip"
	"net/url"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/codestory/codestoryd"
)

var fuzzKey = []byte("a link key of 32 bytes or more...")

const fuzzPath = "11111111-1111-4111-8111-111111111111/audio/story.mp3"

// Whatever a link's query holds: it is accepted only if it is, but for parameters of others, the one that the daemon
// writes for this file.
func FuzzVerifyLink(f *testing.F) {
	now := time.Unix(1_000_000, 0)
	for _, link := range []localLink{{fuzzPath, 1_000_001, false}, {fuzzPath, 1_000_001, true}, {fuzzPath, 1_000_000,
		false}, {"x", -1, true}} {
		f.Add(link.query(fuzzKey).Encode())
	}
	for _, seed := range []string{
		"", "exp=1000001", "sig=AA", "exp=&sig=", "exp=9223372036854775808&sig=A", "exp=-0&sig=A",
		"exp=1&exp=2&sig=A&sig=B", "exp=1%0a&sig=%00",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		q, err := url.ParseQuery(query)
		if err != nil {
			t.Skip()
		}
		link, err := verifyLink(fuzzKey, fuzzPath, q, now)
		if err != nil {
			if !errors.Is(err, errLinkInvalid) && !errors.Is(err, errLinkExpired) {
				t.Fatalf("%q: %v", query, err)
			}
			if errors.Is(err, errLinkInvalid) {
				return
			}
		}
		if err == nil && now.Unix() >= link.expires {
			t.Fatalf("%q: accepted after its end", query)
		}
		maps.DeleteFunc(q, func(name string, _ []string) bool {
			return !slices.Contains([]string{"exp", "sig",
				"download"}, name)
		})
		if err == nil && q.Encode() != link.query(fuzzKey).Encode() {
			t.Fatalf("%q: accepted, but the daemon writes %q", query, link.query(fuzzKey).Encode())
		}
	})
}

// No two links share a signature.
func FuzzSignature(f *testing.F) {
	f.Add(fuzzPath, int64(10), false, fuzzPath, int64(10), true)
	f.Add("a\n1\ntrue\nb", int64(1), true, "b", int64(1), true)
	f.Add("true\na", int64(1), false, "a", int64(1), true)
	f.Add("0/a", int64(1), false, "/a", int64(10), false)
	f.Fuzz(func(t *testing.T, pathA string, expA int64, downloadA bool, pathB string, expB int64, downloadB bool) {
		a := localLink{codestory.Path(pathA), expA, downloadA}
		b := localLink{codestory.Path(pathB), expB, downloadB}
		if same := a.signature(fuzzKey) == b.signature(fuzzKey); same != (a == b) {
			t.Fatalf("%+v and %+v: same signature %v", a, b, same)
		}
	})
}

// A path that is let through is its own cleaned form, and hides no slash.
func FuzzPlainPath(f *testing.F) {
	for _, seed := range []string{
		"/", "/a/b", "/a/", "/../a", "/a/./b", "//a", "/a%2fb", `/a%2Fb"`, "/a%5cb", "/a%00", "/%2e%2e/a",
		"/a?x=%2f..", "/%252f", "*", "/a#..",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, target string) {
		u, err := url.ParseRequestURI(target)
		if err != nil || u.Host != "" || u.Scheme != "" || !plainPath(u) {
			t.Skip()
		}
		sent, _, _ := strings.Cut(target, "?")
		if strings.Contains(strings.ToLower(sent), "%2f") || strings.ContainsAny(u.Path, "\\\x00") {
			t.Fatalf("%q hides a separator", target)
		}
		if clean := path.Clean(u.Path); clean != u.Path && clean+"/" != u.Path {
			t.Fatalf("%q is let through as %q, which means %q", target, u.Path, clean)
		}
	})
}

// An origin that is taken is spelled as a browser would, holds nothing else, and is never one for all.
func FuzzParseOrigin(f *testing.F) {
	for _, seed := range []string{
		"https://app.example", "HTTPS://App.Example:443", "http://[::1]:80", "null", "*", "https://*.example", "https://a/",
		"https://u@a", "https://a?b", "https://a#b", "a:b", "x://a:0", "https://a:00443", "https://a..b",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		origin, err := ParseOrigin(s)
		if err != nil {
			return
		}
		again, err := ParseOrigin(origin)
		if err != nil || again != origin {
			t.Fatalf("%q is %q, and that is %q, %v", s, origin, again, err)
		}
		if strings.ContainsAny(origin, "*/@?# ,") && strings.Count(origin, "/") != 2 || strings.ContainsAny(origin, "*@?# ,") || origin == "null" {
			t.Fatalf("%q was taken for %q", s, origin)
		}
	})
}

// A Host header is one host at most: what is let in is a loopback address, localhost or a name on the list.
func FuzzHost(f *testing.F) {
	for _, seed := range []string{
		"localhost", "127.0.0.1:80", "[::1]:80", "nas.local", "NAS.LOCAL.", "evil.example", "[::1]x", "localhost@evil", "127.1", "",
		"localhost:80:80", "127.0.0.1.evil.example", "[::ffff:127.0.0.1]", "0x7f.1",
	} {
		f.Add(seed)
	}
	allowed := newHostList([]string{"nas.local"})
	f.Fuzz(func(t *testing.T, host string) {
		if !allowed.allows(host) {
			return
		}
		name := strings.ToLower(host)
		if i := strings.LastIndexByte(name, ':'); i >= 0 && !strings.HasSuffix(name, "]") {
			name = name[:i]
		}
		name = strings.TrimSuffix(name, ".")
		if name == "localhost" || name == "nas.local" {
			return
		}
		addr, err := netip.ParseAddr(strings.Trim(name, "[]"))
		if err != nil || !addr.IsLoopback() {
			t.Fatalf("%q is let in", host)
		}
	})
}
