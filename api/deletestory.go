package api

import (
	"net/http"

	"github.com/julienschmidt/httprouter"
)

// deleteStory answers DELETE /api/storage/stories/{id}.
func (s *server) deleteStory(w http.ResponseWriter, r *http.Request, p httprouter.Params) error {
	req, err := parseStoryRequest(p)
	if err != nil {
		return err
	}
	q, err := parseQuery(r)
	if err != nil {
		return err
	}
	local, err := flagParam(q, "local")
	if err != nil {
		return err
	}
	if err := s.editor.Delete(r.Context(), req.id, local); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
