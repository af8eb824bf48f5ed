package api

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"syscall"

	"github.com/codestory/codestoryd"
	"github.com/julienschmidt/httprouter"
)

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
func (s *server) tokens(w http.ResponseWriter, _ *http.Request, _ httprouter.Params) error {
	list := TokenList{Tokens: s.access.Tokens()}
	if list.Tokens == nil {
		list.Tokens = []codestory.Token{}
	}
	return writeJSON(w, http.StatusOK, list)
}

// addToken answers POST /api/tokens.
func (s *server) addToken(w http.ResponseWriter, r *http.Request, _ httprouter.Params) error {
	var req TokenRequest
	if err := readJSON(r, &req); err != nil {
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
func (s *server) removeToken(w http.ResponseWriter, r *http.Request, p httprouter.Params) error {
	q, err := parseQuery(r)
	if err != nil {
		return err
	}
	keys, err := flagParam(q, "keys")
	if err != nil {
		return err
	}
	if err := s.access.RemoveToken(p.ByName("name"), keys); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
