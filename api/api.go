// Package api answers players and the commands over HTTP: stories, links that play, the bytes of local files, status
// and tokens. What it serves, it asks of the interfaces in library.go.
//
// It must not know the queue, the database, the store or the output directory. A request passes, in this order, the
// checks of its Host, of its path and of the page that a browser makes it for, the router, authentication and ownership;
// only then is anything looked up.
package api

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Options are what New can do without.
type Options struct {
	PublicURL    *url.URL     // base of player URLs and local links, its host is allowed; nil makes them begin at "/play"
	AllowedHosts []string     // host names that a request may name beside the loopback ones; ports are ignored
	AllowOrigins []string     // of pages that may use the API beside the daemon's own, as ParseOrigin spells them
	Logger       *slog.Logger // nil logs nothing
	Version      string       // told by /healthz

	// Stopping is closed when the program is about to stop: what would go on for ever ends then. nil is never.
	Stopping <-chan struct{}
}

// Services are what the API asks. All are required.
type Services struct {
	Library Library
	Access  Access
	Queue   Queue
	Editor  Editor
	Monitor Monitor
	Events  Events
}

// server holds what the handlers share.
type server struct {
	lib      Library
	access   Access
	queue    Queue
	editor   Editor
	monitor  Monitor
	events   Events
	metrics  *metrics
	public   url.URL
	log      *slog.Logger
	version  string
	guesses  limiters // wrong tokens
	rooms    *rooms
	shared   sharedStories
	making   chan struct{} // holds a token for each large answer that is being made
	unproved unproved

	description func() json.RawMessage // of the API

	hosts  hostList
	pages  origins
	router http.Handler

	stopping <-chan struct{}
}

// New makes the handler of the whole API. It starts nothing and owns nothing.
func New(services Services, opts Options) http.Handler {
	s := &server{
		lib: services.Library, access: services.Access, queue: services.Queue, editor: services.Editor,
		monitor: services.Monitor, events: services.Events, stopping: opts.Stopping,
		log: opts.Logger, version: opts.Version,
	}
	s.guesses = newLimiters(guessEvery, guessBurst)
	s.rooms = newRooms(connLimit(openFiles()))
	s.making = make(chan struct{}, maxMaking)
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.metrics = newMetrics(services.Monitor, opts.Version)
	hosts, pages := newHostList(opts.AllowedHosts), origins(slices.Clone(opts.AllowOrigins))
	if opts.PublicURL != nil {
		s.public = *opts.PublicURL
		hosts.add(opts.PublicURL.Host)
		if origin := originOf(opts.PublicURL); origin != "" {
			pages = append(pages, origin)
		}
	}
	s.description = newDescription(opts.Version, s.public.Path)
	s.hosts, s.pages, s.router = hosts, pages, s.newRouter()
	return s
}

// ServeHTTP is what every request passes before the router: its body gets bounds, and its Host, its path and the page
// that it comes from are checked.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Referrer-Policy", "no-referrer")
	limitBody(w, r)
	switch {
	case !s.hosts.names(r):
		errHost.write(w)
	case !plainPath(r.URL):
		notFound(w, r)
	case s.pages.admit(w, r):
		s.router.ServeHTTP(w, r)
	}
}

const (
	maxBodyBytes = 64 << 10
	bodyTimeout  = 10 * time.Second
)

// limitBody bounds the size of a request's body and the time it may take. Only forms bring large ones, and get more of
// both once they are proved.
func limitBody(w http.ResponseWriter, r *http.Request) {
	if len(r.TransferEncoding) > 0 {
		// There may have been a Content-Length too, which net/http does not report: a proxy that went by it would take
		// the rest of the body for another request (RFC 9112, section 6.1).
		w.Header().Set("Connection", "close")
	}
	if r.ContentLength == 0 {
		return
	}
	// A writer without deadlines, as in tests, has no slow client.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout))
	if !strings.HasPrefix(r.URL.Path, formRoute) {
		r.Body = http.MaxBytesReader(w, r.Body, maxBodyBytes)
	}
}

const (
	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 2 * time.Minute
	// answerPatience is how long a client may take to read a short answer.
	answerPatience = time.Minute
	maxHeaderBytes = 64 << 10
)

// NewServer makes the server that h should run in. It bounds the connections, how long a client may take for its request,
// and how long for reading a short answer. Handlers of longer ones set deadlines of their own.
// Serve, Shutdown and Close are the caller's.
func NewServer(h http.Handler) *http.Server { return newServer(h, connLimit(openFiles())) }

func newServer(h http.Handler, limit int) *http.Server {
	conns := newConns(limit)
	return &http.Server{
		Handler:           conns.track(h),
		ConnContext:       conns.accept,
		ConnState:         conns.changed,
		ReadHeaderTimeout: readHeaderTimeout,
		WriteTimeout:      answerPatience,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		// net/http answers "OPTIONS *" by itself otherwise, before the Host check.
		DisableGeneralOptionsHandler: true,
	}
}
