package api

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/codestory/codestoryd"
)

var (
	// errLinkInvalid is one answer for every fault of a link, so that it tells nothing about files or keys.
	errLinkInvalid = newProblem(http.StatusForbidden, "link_invalid", "this link is not one of this daemon's")
	errLinkExpired = newProblem(http.StatusForbidden, "link_expired", "this link has expired: ask for a new one")
)

// localLink is what the daemon signs: reading (GET and HEAD alike) the bytes of one file until a time.
type localLink struct {
	path     codestory.Path
	expires  int64 // in seconds since 1970
	download bool  // to be saved instead of shown
}

// signature is HMAC-SHA256 over a text that no two links share: the path, which can hold any character, is its last
// field, and the fields before it hold no line break.
func (l localLink) signature(key []byte) string {
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "codestoryd link v1\nread\n%d\n%t\n%s", l.expires, l.download, l.path)
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// query is the link's query, signed.
func (l localLink) query(key []byte) url.Values {
	q := url.Values{"exp": {strconv.FormatInt(l.expires, 10)}, "sig": {l.signature(key)}}
	if l.download {
		q.Set("download", "1")
	}
	return q
}

// verifyLink reads the query of a link to path and returns the link once its signature holds and its time is not
// over. Parameters that mean nothing here are passed over, since players and mailers add their own.
func verifyLink(key []byte, path codestory.Path, q url.Values, now time.Time) (localLink, error) {
	exp, sig := q["exp"], q["sig"]
	if len(exp) != 1 || len(sig) != 1 {
		return localLink{}, errLinkInvalid
	}
	link := localLink{path: path}
	var err error
	link.expires, err = strconv.ParseInt(exp[0], 10, 64)
	if err != nil || strconv.FormatInt(link.expires, 10) != exp[0] {
		return localLink{}, errLinkInvalid
	}
	if download, ok := q["download"]; ok {
		if len(download) != 1 || download[0] != "1" {
			return localLink{}, errLinkInvalid
		}
		link.download = true
	}
	// Comparing the text instead of the bytes leaves no second spelling of a signature.
	if !hmac.Equal([]byte(sig[0]), []byte(link.signature(key))) {
		return localLink{}, errLinkInvalid
	}
	if now.Unix() >= link.expires {
		return localLink{}, errLinkExpired
	}
	return link, nil
}

// localURL is a link to the file that the daemon serves for the time given, and the end of that time.
func (s *server) localURL(path codestory.Path, lifetime time.Duration, download bool) (string, time.Time) {
	end := time.Now().Add(lifetime + time.Second - 1).Unix() // rounded up: a link never ends early
	link := localLink{path: path, expires: end, download: download}
	return s.publicURL(path, link.query(s.access.LinkKey())), time.Unix(end, 0).UTC()
}

// playURL is the player URL of a file of a story of that owner. It does not expire.
func (s *server) playURL(path codestory.Path, owner codestory.Owner) string {
	return s.publicURL(path, url.Values{"k": {s.access.PlayKey(path.Story(), owner)}})
}

func (s *server) publicURL(path codestory.Path, q url.Values) string {
	return s.absoluteURL("/play/"+string(path), q)
}

// absoluteURL is the URL of a path of this API, as clients reach it.
func (s *server) absoluteURL(path string, q url.Values) string {
	u := s.public
	u.Path = strings.TrimSuffix(u.Path, "/") + path
	u.RawPath = ""
	u.RawQuery = q.Encode()
	u.Fragment = ""
	return u.String()
}
