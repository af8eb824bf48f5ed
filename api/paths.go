package api

import (
	"net/http"
	"net/url"
	"strings"
)

// guardPath answers 404 to every path that is not spelled in the one plain way. The router compares decoded paths
// and hands "..", "//" and an encoded slash on as they are, so all of that ends here.
func guardPath(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !plainPath(r.URL) {
			notFound(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// plainPath reports whether the path is absolute and free of empty, "." and ".." elements, NUL, and slashes and
// backslashes in disguise. A backslash separates elements on Windows; it is refused everywhere, so that a URL means
// the same on every system.
func plainPath(u *url.URL) bool {
	if !strings.HasPrefix(u.Path, "/") || strings.ContainsAny(u.Path, "\\\x00") || strings.Contains(u.Path, "//") {
		return false
	}
	// RawPath is as it was sent wherever that is not the default encoding. EscapedPath would not do: it falls back
	// to the default where RawPath holds a character that should have been escaped.
	if strings.Contains(strings.ToLower(u.RawPath), "%2f") {
		return false
	}
	for element := range strings.SplitSeq(u.Path, "/") {
		if element == "." || element == ".." {
			return false
		}
	}
	return true
}
