package api

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

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

// allow reports whether a page may make the request. named is its origin where that is listed, so that it is told it
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

// guard says what pages may do. A link, a form or a URL with a KEY carries its own right, for whoever holds it: any page
// uses it. On all else a page is refused that is neither the daemon's own nor listed, whatever token it brings; nothing of
// what a page asks for is echoed that is not listed.
func (o origins) guard(next http.Handler) http.Handler {
	refused := newProblem(http.StatusForbidden, "origin_not_allowed",
		"pages of this origin may not use the API: allow it with --allow-origin")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		if methods, headers, yes := carriesRight(r.URL.Path); yes {
			h.Set("Access-Control-Allow-Origin", "*")
			h.Set("Access-Control-Expose-Headers", readableHeaders)
			h.Set("Cross-Origin-Resource-Policy", "cross-origin")
			if isPreflight(r) {
				answerPreflight(w, r, methods, headers)
				return
			}
			next.ServeHTTP(w, r)
			return
		}
		if !forPrograms(r.URL.Path) {
			next.ServeHTTP(w, r)
			return
		}
		h.Add("Vary", "Origin")
		named, ok := o.allow(r)
		if !ok {
			refused.write(w)
			return
		}
		if named != "" {
			h.Set("Access-Control-Allow-Origin", named)
			h.Set("Access-Control-Expose-Headers", readableHeaders+", WWW-Authenticate")
			if isPreflight(r) {
				answerPreflight(w, r, "GET, HEAD, POST, DELETE", "Authorization, Content-Type, If-None-Match, If-Range, Last-Event-ID, Range")
				return
			}
		}
		next.ServeHTTP(w, r)
	})
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

// isPreflight reports whether a browser asks what a page may send, before it sends it.
func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Origin") != "" && r.Header.Get("Access-Control-Request-Method") != ""
}

func answerPreflight(w http.ResponseWriter, r *http.Request, methods, headers string) {
	h := w.Header()
	h.Set("Access-Control-Allow-Methods", methods)
	h.Set("Access-Control-Allow-Headers", headers)
	h.Set("Access-Control-Max-Age", preflightSeconds)
	if r.Header.Get("Access-Control-Request-Private-Network") == "true" {
		h.Set("Access-Control-Allow-Private-Network", "true") // a page of the web may ask this machine
	}
	w.WriteHeader(http.StatusNoContent)
}
