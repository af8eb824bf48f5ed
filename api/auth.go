package api

import (
	"context"
	"crypto/hmac"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/julienschmidt/httprouter"
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

// signedIn asks for a token, of any scope.
func (s *server) signedIn(k kind, h func(http.ResponseWriter, *http.Request, codestory.Token) error) handler {
	return func(w http.ResponseWriter, r *http.Request, _ httprouter.Params) error {
		caller, err := s.identify(w, r)
		if err != nil {
			return err
		}
		return s.rooms.serve(r, clientOf(caller), k, func(r *http.Request) error { return h(w, r, caller) })
	}
}

// managed asks for a token of scope manage.
func (s *server) managed(h handler) handler {
	return func(w http.ResponseWriter, r *http.Request, p httprouter.Params) error {
		caller, err := s.identify(w, r)
		if err != nil {
			return err
		}
		if caller.Scope != codestory.ScopeManage {
			return errScope
		}
		return s.rooms.serve(r, clientOf(caller), answers, func(r *http.Request) error { return h(w, r, p) })
	}
}

// ofStory asks for a token that may read the story which the path names: its user's, or one of scope manage. Whether
// the story exists is then h's to find out.
func (s *server) ofStory(k kind, h func(http.ResponseWriter, *http.Request, storyRequest) error) handler {
	return func(w http.ResponseWriter, r *http.Request, p httprouter.Params) error {
		caller, err := s.identify(w, r)
		if err != nil {
			return err
		}
		req, err := parseStoryRequest(p)
		if err != nil {
			return err
		}
		req.caller = caller
		return s.rooms.serve(r, clientOf(caller), k, func(r *http.Request) error {
			var err error
			if req.owner, err = s.mayRead(r.Context(), caller, req.id); err != nil {
				return err
			}
			return h(w, r, req)
		})
	}
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
