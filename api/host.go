package api

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

var (
	errHost = newProblem(http.StatusForbidden, "host_not_allowed",
		"this Host is not served here: ask for localhost, or allow the name with --public-url")
	errOrigin = newProblem(http.StatusForbidden, "origin_not_allowed",
		"pages of this origin may not use the API: allow it with --allow-origin")
)

// hostList holds the host names that a request may name beside the loopback ones. A page that a browser got from
// elsewhere can point a name of its own at this machine (DNS rebinding), but cannot make the browser send another
// Host than that name.
type hostList map[string]struct{}

func newHostList(hosts []string) hostList {
	l := hostList{}
	for _, h := range hosts {
		l.add(h)
	}
	return l
}

// add allows a host: a name or an address, with or without a port. An address of IPv6 may come without brackets.
func (l hostList) add(host string) {
	if addr, err := netip.ParseAddr(host); err == nil {
		host = addr.WithZone("").String()
	} else {
		host = hostName(host)
	}
	if host != "" {
		l[host] = struct{}{}
	}
}

// allows reports whether a Host header, with or without a port, names this daemon.
func (l hostList) allows(hostport string) bool {
	host := hostName(hostport)
	if host == "" {
		return false
	}
	if addr, err := netip.ParseAddr(host); err == nil && (addr.Is4() && addr.IsLoopback() ||
		addr == netip.IPv6Loopback()) {
		return true
	}
	_, listed := l[host]
	return listed || host == "localhost"
}

// hostName is the host of a Host header in its canonical form: without port, brackets and trailing dot, in lower case.
// It is "" for what is no host.
func hostName(hostport string) string {
	host, port := hostport, ""
	if inner, ok := strings.CutPrefix(hostport, "["); ok {
		literal, rest, closed := strings.Cut(inner, "]")
		addr, err := netip.ParseAddr(literal)
		if !closed || err != nil || !addr.Is6() {
			return ""
		}
		host, port = addr.String(), rest
	} else if i := strings.IndexByte(hostport, ':'); i >= 0 {
		host, port = hostport[:i], hostport[i:]
	}
	if port != "" && (port[0] != ':' || strings.Trim(port[1:], "0123456789") != "") {
		return ""
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// arrivedAt reports whether the Host names the very address that the request came in at. A name can be pointed at this
// machine by its owner, an address cannot.
func arrivedAt(r *http.Request) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	if !ok {
		return false
	}
	host, err := netip.ParseAddr(hostName(r.Host))
	return err == nil && host.WithZone("") == local.AddrPort().Addr().Unmap().WithZone("")
}

// names reports whether the request is for this daemon. A request whose target is a whole URL is for a proxy, which this
// is not: net/http takes the host from the target then and hides the Host header, so it could hold anything.
func (l hostList) names(r *http.Request) bool {
	return r.URL.Host == "" && r.URL.Scheme == "" && (l.allows(r.Host) || arrivedAt(r))
}

// plainPath reports whether the path is absolute and free of empty, "." and ".." elements, NUL, and slashes and
// backslashes in disguise. A backslash separates elements on Windows; it is refused everywhere, so that a URL means
// the same on every system.
func plainPath(u *url.URL) bool {
	if !strings.HasPrefix(u.Path, "/") || strings.ContainsAny(u.Path, "\\\x00") || strings.Contains(u.Path, "//") {
		return false
	}
	// RawPath is as it was sent if that is not the default encoding. EscapedPath would not do: it falls back
	// to the default if RawPath holds a character that should have been escaped.
	if strings.Contains(strings.ToLower(u.RawPath), "%2f") && !takesPath(u.Path) {
		return false
	}
	for element := range strings.SplitSeq(u.Path, "/") {
		if element == "." || element == ".." {
			return false
		}
	}
	return true
}

// takesPath reports whether the rest of the path is a file's, in which generated clients escape the slashes.
func takesPath(path string) bool {
	return strings.HasPrefix(path, "/play/") || strings.HasPrefix(path, formRoute) || strings.HasPrefix(path, "/api/queue/")
}

// A browser tells whose page makes a request: by Origin where the page may read the answer or change something, and by
// Sec-Fetch-Site. Programs that are no browsers send neither, and are judged by their token alone.

// origins are the pages that may use the API beside the daemon's own, as browsers spell them.
type origins []string

// ParseOrigin reads an origin that is to be allowed, scheme://host[:port], and spells it as browsers do. There is no
// wildcard, and "null" is not one: every page without an origin sends that. The error is for people.
func ParseOrigin(s string) (string, error) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme == "" || u.Host == "" || u.Scheme+"://"+u.Host != strings.ToLower(u.Scheme)+s[len(u.Scheme):] {
		return "", fmt.Errorf("use scheme://host or scheme://host:port, such as https://example.com, with nothing behind it")
	}
	host, port := strings.ToLower(u.Hostname()), u.Port()
	addr, notAddr := netip.ParseAddr(host)
	switch {
	case notAddr == nil && addr.Is6():
		host = "[" + addr.String() + "]"
	case strings.Trim(host, "abcdefghijklmnopqrstuvwxyz0123456789.-_") != "" || host == "":
		return "", fmt.Errorf("%q is no host name: there are no wildcards, and names with other letters are spelled xn--…", host)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	switch {
	case strings.HasSuffix(u.Host, ":") || port != "" && err != nil:
		return "", fmt.Errorf("%q is no port", port)
	case u.Scheme == "http" && n == 80 || u.Scheme == "https" && n == 443 || port == "":
		return u.Scheme + "://" + host, nil
	default:
		return fmt.Sprintf("%s://%s:%d", u.Scheme, host, n), nil
	}
}

// originOf is the origin of pages below the URL.
func originOf(u *url.URL) string {
	origin, err := ParseOrigin(u.Scheme + "://" + u.Host)
	if err != nil {
		return ""
	}
	return origin
}

// own is the origin of the daemon's pages as the request sees it. The Host was checked before.
func own(r *http.Request) string {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	return originOf(&url.URL{Scheme: scheme, Host: r.Host})
}

// allow reports whether a page may make the request. named is its origin if that is listed, so that the browser knows it
// may read the answer.
func (o origins) allow(r *http.Request) (named string, ok bool) {
	switch sent := r.Header.Values("Origin"); {
	case len(sent) > 1:
		return "", false
	case len(sent) == 1 && slices.Contains(o, sent[0]):
		return sent[0], true
	case len(sent) == 1 && (sent[0] == "" || sent[0] != own(r)):
		return "", false
	}
	switch site := r.Header.Values("Sec-Fetch-Site"); {
	case len(site) == 0:
		return "", true
	default: // "none" is a person's own doing: an address that was typed, a bookmark
		return "", len(site) == 1 && (site[0] == "same-origin" || site[0] == "none")
	}
}

// readableHeaders are those of an answer that a page of another origin may read besides the few that every page may.
const readableHeaders = "Accept-Ranges, Content-Disposition, Content-Length, Content-Range, ETag, Retry-After"

// preflightSeconds is how long a browser may remember what a preflight was answered; the longest that Chromium does.
const preflightSeconds = "7200"

// admit says what pages may do, and reports whether the request goes on; else it has answered it. A link, a form or a
// URL with a KEY carries its own right: any page uses it. For all else a page is refused that is
// neither the daemon's own nor listed, whatever token it sends. Nothing that a page asks for is echoed unless listed.
func (o origins) admit(w http.ResponseWriter, r *http.Request) bool {
	h := w.Header()
	if methods, headers, yes := carriesRight(r.URL.Path); yes {
		h.Set("Access-Control-Allow-Origin", "*")
		h.Set("Access-Control-Expose-Headers", readableHeaders)
		h.Set("Cross-Origin-Resource-Policy", "cross-origin")
		return !answerPreflight(w, r, methods, headers)
	}
	if !forPrograms(r.URL.Path) {
		return true
	}
	h.Add("Vary", "Origin")
	named, ok := o.allow(r)
	if !ok {
		errOrigin.write(w)
		return false
	}
	if named == "" {
		return true
	}
	h.Set("Access-Control-Allow-Origin", named)
	h.Set("Access-Control-Expose-Headers", readableHeaders+", WWW-Authenticate")
	return !answerPreflight(w, r, "GET, HEAD, POST, DELETE",
		"Authorization, Content-Type, If-None-Match, If-Range, Last-Event-ID, Range")
}

// carriesRight reports whether what is at the path asks for no token, but for a signature or a KEY, and what a page may
// send there.
func carriesRight(path string) (methods, headers string, yes bool) {
	switch {
	case strings.HasPrefix(path, "/play/"), strings.HasPrefix(path, "/feed/"):
		return "GET, HEAD", "Range, If-Range, If-Match, If-None-Match, If-Modified-Since, If-Unmodified-Since", true
	case strings.HasPrefix(path, formRoute):
		return "POST", "Content-Type", true
	default:
		return "", "", false
	}
}

// forPrograms reports whether what is at the path is the API. The rest is what anybody may see: health, and files of
// the daemon's own page.
func forPrograms(path string) bool {
	return path == "/api" || strings.HasPrefix(path, "/api/") || path == "/metrics"
}

// answerPreflight answers a browser that asks what a page may send before it sends it. It reports whether the request
// is one of these.
func answerPreflight(w http.ResponseWriter, r *http.Request, methods, headers string) bool {
	if r.Method != http.MethodOptions || r.Header.Get("Origin") == "" || r.Header.Get("Access-Control-Request-Method") == "" {
		return false
	}
	h := w.Header()
	h.Set("Access-Control-Allow-Methods", methods)
	h.Set("Access-Control-Allow-Headers", headers)
	h.Set("Access-Control-Max-Age", preflightSeconds)
	if r.Header.Get("Access-Control-Request-Private-Network") == "true" {
		h.Set("Access-Control-Allow-Private-Network", "true") // a page of the web may ask this machine
	}
	w.WriteHeader(http.StatusNoContent)
	return true
}
