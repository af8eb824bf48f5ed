package api

import (
	"net"
	"net/http"
	"net/netip"

	"github.com/codestory/codestoryd"
	"github.com/julienschmidt/httprouter"
)

// maxIgnored bounds the list of what is not uploaded.
const maxIgnored = 10_000

// maxChallenge bounds what a proof is asked for, in bytes.
const maxChallenge = 128

// IgnoredList is what GET /api/status?ignored=1 answers.
type IgnoredList struct {
	Ignored   []codestory.Ignored `json:"ignored"`
	Truncated bool                `json:"truncated"` // there are more
}

// Health is what GET /healthz and, but for its problem, GET /readyz answer.
type Health struct {
	Status  string `json:"status"` // ok
	Version string `json:"version"`
	Proof   string `json:"proof,omitempty"` // if a program of this machine asked for one by ?challenge=; see Access.Prove
}

// healthz answers GET /healthz: the process serves.
func (s *server) healthz(w http.ResponseWriter, r *http.Request, _ httprouter.Params) error {
	health := Health{Status: "ok", Version: s.version}
	if challenge := r.URL.Query().Get("challenge"); challenge != "" && len(challenge) <= maxChallenge && fromThisMachine(r) {
		health.Proof = s.access.Prove(challenge)
	}
	return writeJSON(w, http.StatusOK, health)
}

// forwarding are the headers by which proxies say that they pass on somebody else's request.
var forwarding = []string{"Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip"}

// fromThisMachine reports whether a program on this machine asks for itself. Its address is a loopback one, or the very
// one that it connected to.
func fromThisMachine(r *http.Request) bool {
	for _, name := range forwarding {
		if len(r.Header[name]) > 0 {
			return false
		}
	}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return false
	}
	from := peer.Addr().Unmap().WithZone("")
	local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	return from.IsLoopback() || ok && from == local.AddrPort().Addr().Unmap().WithZone("")
}

// readyz answers GET /readyz: the daemon can do its work. What keeps it from that is for the log.
func (s *server) readyz(w http.ResponseWriter, r *http.Request, _ httprouter.Params) error {
	if err := s.monitor.Ready(r.Context()); err != nil {
		s.log.Warn("not ready", "err", err)
		return newProblem(http.StatusServiceUnavailable, "not_ready", "the daemon is not ready; its log says why")
	}
	return writeJSON(w, http.StatusOK, Health{Status: "ok", Version: s.version})
}

// status answers GET /api/status, with the list of what is not uploaded instead where ?ignored=1 asks for it.
func (s *server) status(w http.ResponseWriter, r *http.Request, _ httprouter.Params) error {
	q, err := parseQuery(r)
	if err != nil {
		return err
	}
	ignored, err := flagParam(q, "ignored")
	if err != nil {
		return err
	}
	if ignored {
		return s.ignored(w, r)
	}
	status, err := s.monitor.Status(r.Context())
	if err != nil {
		return err
	}
	if status.Uploads == nil {
		status.Uploads = []codestory.Upload{}
	}
	if status.Problems == nil {
		status.Problems = []codestory.Problem{}
	}
	return writeJSON(w, http.StatusOK, status)
}

func (s *server) ignored(w http.ResponseWriter, r *http.Request) error {
	list, err := s.monitor.Ignored(r.Context(), maxIgnored+1)
	if err != nil {
		return err
	}
	answer := IgnoredList{Ignored: list, Truncated: len(list) > maxIgnored}
	if answer.Truncated {
		answer.Ignored = list[:maxIgnored]
	}
	if answer.Ignored == nil {
		answer.Ignored = []codestory.Ignored{}
	}
	return writeJSON(w, http.StatusOK, answer)
}
