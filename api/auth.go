package api

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/codestory/codestoryd"
)

// A client that sends wrong tokens, one after the other, has to wait. A right token is always heard: else whoever shares an
// address with a guesser, as behind a reverse proxy, would be locked out. Nobody guesses 256 bits either way; this is for
// programs that go on and on with a token that has ended, and well-behaved ones among them heed it.
const (
	guessBurst = 200
	guessEvery = 100 * time.Millisecond
)

var (
	errUnauthorized = newProblem(http.StatusUnauthorized, "unauthorized",
		"send a token of this daemon, as Authorization: Bearer TOKEN")
	errTooManyWrong = newProblem(http.StatusTooManyRequests, "too_many_wrong_tokens",
		"too many wrong tokens came from this address: wait before the next one")
	errScope = newProblem(http.StatusForbidden, "scope_insufficient", "this needs a token of scope manage")
	errOwner = newProblem(http.StatusForbidden, "forbidden", "this story is another user's, or nobody knows yet whose it is")
)

// identify finds out who is asking. Only the header counts: a token in a URL would end up in logs and histories.
func (s *server) identify(w http.ResponseWriter, r *http.Request) (codestory.Token, error) {
	challenge := `Bearer realm="codestoryd"`
	headers := r.Header.Values("Authorization")
	brought := len(headers) > 0
	if brought {
		challenge += `, error="invalid_token"`
		scheme, secret, _ := strings.Cut(headers[0], " ")
		secret = strings.TrimLeft(secret, " ")
		if len(headers) == 1 && strings.EqualFold(scheme, "Bearer") && secret != "" {
			if caller, ok := s.access.Identify(r.Context(), secret); ok {
				return caller, nil
			}
		}
	}
	w.Header().Set("WWW-Authenticate", challenge)
	if brought {
		if wait := s.guesses.wait(network(r.RemoteAddr), time.Now()); wait > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int((wait+time.Second-1)/time.Second)))
			return codestory.Token{}, errTooManyWrong
		}
	}
	return codestory.Token{}, errUnauthorized
}

// admit finds out who the request is served for, by what its route asks for. It looks nothing up but who owns the story
// of a KEY.
func (s *server) admit(w http.ResponseWriter, r *request, rt route) (client, error) {
	var err error
	switch rt.right {
	case public:
		return client{}, nil
	case byForm:
		return client{}, s.parsePath(r, rt)
	case byKey:
		if err := s.parsePath(r, rt); err != nil {
			return client{}, err
		}
		return s.admitKey(r)
	}
	if r.caller, err = s.identify(w, r.Request); err != nil {
		return client{}, err
	}
	if rt.right == manageScope && r.caller.Scope != codestory.ScopeManage {
		return client{}, errScope
	}
	return clientOf(r.caller), s.parsePath(r, rt)
}

// admitKey lets in a request with the KEY of the story or library that its path names, or with the link of a file.
func (s *server) admitKey(r *request) (client, error) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	keys, keyed := q["k"]
	switch {
	case err != nil:
		return client{}, errLinkInvalid
	case r.file != "" && !keyed:
		link, err := verifyLink(s.access.LinkKey(), r.file, q, time.Now())
		r.link = &link
		return storyClient(r.story), err
	case r.story != "":
		return storyClient(r.story), s.openedBy(r.Context(), r.story, keys)
	case len(keys) != 1:
		return client{}, errLinkInvalid
	}
	user, ok := s.access.LibraryUser(keys[0])
	if !ok {
		return client{}, errLinkInvalid
	}
	r.user = user
	return libraryClient(user), nil
}

// mayRead returns whose the story is, or an error unless that is the caller's user or the caller has scope manage.
func (s *server) mayRead(ctx context.Context, caller codestory.Token, id codestory.StoryID) (codestory.Owner, error) {
	if caller.Scope == codestory.ScopeManage {
		return codestory.Owner{}, nil
	}
	owner, err := s.lib.Owner(ctx, id)
	if err == nil && !caller.MayRead(owner) {
		return owner, errOwner
	}
	return owner, err
}

// openedBy returns nil if the KEY, the only one of keys, opens the story as it is owned now. A KEY that was never made for
// the story causes no look-up.
func (s *server) openedBy(ctx context.Context, id codestory.StoryID, keys []string) error {
	if len(keys) != 1 || !s.access.PlayKeyOf(id, keys[0]) {
		return errLinkInvalid
	}
	owner, err := s.lib.OwnerNow(id)
	if errors.Is(err, codestory.ErrNotFound) {
		owner, err = s.lib.Owner(ctx, id)
	}
	if err != nil {
		return err
	}
	return s.opens(id, owner, keys[0])
}

// opens returns nil if the KEY is that of a story of that owner.
func (s *server) opens(id codestory.StoryID, owner codestory.Owner, key string) error {
	if !hmac.Equal([]byte(key), []byte(s.access.PlayKey(id, owner))) {
		return errLinkInvalid
	}
	return nil
}

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

// TokenList is what GET /api/tokens answers.
type TokenList struct {
	Tokens []codestory.Token `json:"tokens"`
}

// TokenRequest is the body of POST /api/tokens.
type TokenRequest struct {
	Name  string          `json:"name"`
	User  string          `json:"user"`  // "" is the daemon's own user
	Scope codestory.Scope `json:"scope"` // "" is play
}

// NewToken is what POST /api/tokens answers.
type NewToken struct {
	TokenRequest
	Secret string `json:"secret"` // told this once
}

// tokens answers GET /api/tokens.
func (s *server) tokens(w http.ResponseWriter, _ *request) error {
	list := TokenList{Tokens: s.access.Tokens()}
	if list.Tokens == nil {
		list.Tokens = []codestory.Token{}
	}
	return writeJSON(w, http.StatusOK, list)
}

// addToken answers POST /api/tokens.
func (s *server) addToken(w http.ResponseWriter, r *request) error {
	var req TokenRequest
	if err := readJSON(r.Request, &req); err != nil {
		return err
	}
	if req.Scope == "" {
		req.Scope = codestory.ScopePlay
	}
	if err := s.checkToken(req); err != nil {
		return err
	}
	secret, err := s.access.AddToken(codestory.Token{Name: req.Name, User: req.User, Scope: req.Scope})
	if _, ours := errors.AsType[syscall.Errno](err); err != nil && !ours {
		return badRequest("invalid_token", codestory.Hint(err)) // all but the disk's errors are about the token
	}
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusCreated, NewToken{TokenRequest: req, Secret: secret})
}

// checkToken refuses what could not be told apart, or could not be removed again by its path. Its error is a *Problem.
func (s *server) checkToken(req TokenRequest) error {
	if req.Name == "" || req.Name == "." || req.Name == ".." || strings.ContainsAny(req.Name, "/\\\x00") {
		return badRequest("invalid_token", "a token needs a name, without slashes")
	}
	if req.Scope != codestory.ScopePlay && req.Scope != codestory.ScopeManage {
		return badRequest("invalid_token", "scope has to be play or manage")
	}
	if slices.ContainsFunc(s.access.Tokens(), func(t codestory.Token) bool { return t.Name == req.Name }) {
		return newProblem(http.StatusConflict, "token_exists", "there is a token of this name: remove it first")
	}
	return nil
}

// removeToken answers DELETE /api/tokens/{name}. With ?keys=1 it replaces the KEYs of the token's user first: if that fails
// the token is still there to be removed again.
func (s *server) removeToken(w http.ResponseWriter, r *request) error {
	q, err := parseQuery(r.Request)
	if err != nil {
		return err
	}
	keys, err := flagParam(q, "keys")
	if err != nil {
		return err
	}
	if err := s.access.RemoveToken(r.PathValue("name"), keys); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
