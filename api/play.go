package api

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/julienschmidt/httprouter"
)

// playLifetime is how long the link lasts that a player URL redirects to. A player that needs longer asks the player
// URL again.
const playLifetime = time.Hour

// play answers GET and HEAD /play/{story_id}/{path}, to whoever brings the story's KEY or a signature. Nothing but whose
// the story is, is looked up before that is proved.
func (s *server) play(w http.ResponseWriter, r *http.Request, p httprouter.Params) error {
	path, err := codestory.ParsePath(strings.TrimPrefix(p.ByName("path"), "/"))
	if err != nil {
		return errNotFound
	}
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return errLinkInvalid
	}
	keyed := q.Has("k")
	var link localLink
	if keyed {
		err = s.openedBy(r.Context(), path.Story(), q["k"])
	} else {
		link, err = verifyLink(s.access.LinkKey(), path, q, time.Now())
	}
	if err != nil {
		return err
	}
	return s.rooms.serve(r, storyClient(path.Story()), streams, func(r *http.Request) error {
		if keyed {
			return s.playKeyed(w, r, path, q)
		}
		if link.download {
			w.Header().Set("Content-Disposition", s.attachment(r.Context(), path))
		}
		return serveFile(s.lib.Open, w, r, path, "private, no-cache")
	})
}

// playKeyed answers a player URL: with the bytes while the file is on this machine or its store makes no links, else
// with a redirect to a link made this moment. With proxy=1 the bytes come through the daemon in any case, and with at=,
// which playlists have, they are a piece of a stream.
func (s *server) playKeyed(w http.ResponseWriter, r *http.Request, path codestory.Path, q url.Values) error {
	const cacheControl = "private, no-cache"
	if q.Has("at") {
		stamped, err := s.stamped(q)
		if err != nil {
			return err
		}
		return serveFile(stamped, w, r, path, cacheControl)
	}
	if proxy, err := flagParam(q, "proxy"); err != nil {
		return err
	} else if proxy {
		return serveFile(s.lib.Open, w, r, path, cacheControl)
	}
	err := serveFile(s.lib.OpenHere, w, r, path, cacheControl)
	if !errors.Is(err, codestory.ErrNotFound) {
		return err
	}
	loc, err := s.lib.Locate(r.Context(), path)
	if err != nil {
		return err
	}
	if loc.Stored {
		link, _, err := s.lib.Presign(r.Context(), path, codestory.LinkRequest{Method: r.Method, Expires: playLifetime})
		if err == nil {
			redirect(w, link, "private, no-store")
			return nil
		}
		if !errors.Is(err, codestory.ErrNoLinks) {
			return err
		}
	}
	return serveFile(s.lib.Open, w, r, path, cacheControl)
}
