package api

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/codestory/codestoryd"
)

// maxIgnored bounds the list of what is not uploaded.
const maxIgnored = 10_000

// maxChallenge bounds what a proof is asked for, in bytes.
const maxChallenge = 128

// IgnoredList is what GET /api/status/ignored answers.
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
func (s *server) healthz(w http.ResponseWriter, r *request) error {
	health := Health{Status: "ok", Version: s.version}
	if challenge := r.URL.Query().Get("challenge"); challenge != "" && len(challenge) <= maxChallenge && fromThisMachine(r.Request) {
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
func (s *server) readyz(w http.ResponseWriter, r *request) error {
	if err := s.monitor.Ready(r.Context()); err != nil {
		s.log.Warn("not ready", "err", err)
		return newProblem(http.StatusServiceUnavailable, "not_ready", "the daemon is not ready; its log says why")
	}
	return writeJSON(w, http.StatusOK, Health{Status: "ok", Version: s.version})
}

// status answers GET /api/status.
func (s *server) status(w http.ResponseWriter, r *request) error {
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

// ignored answers GET /api/status/ignored.
func (s *server) ignored(w http.ResponseWriter, r *request) error {
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

const (
	defaultItems = 100  // items on a page
	maxItems     = 1000 // at most
)

// RetryRequest is the body of POST /api/queue/retry. It may be left out.
type RetryRequest struct {
	Path string `json:"path"` // "" is every file that waits for another attempt or a person
}

// RetryAnswer is what POST /api/queue/retry answers.
type RetryAnswer struct {
	Retried int `json:"retried"` // files
}

// PauseAnswer is what POST /api/queue/pause and /api/queue/resume answer.
type PauseAnswer struct {
	Paused bool `json:"paused"`
}

// listQueue answers GET /api/queue.
func (s *server) listQueue(w http.ResponseWriter, r *request) error {
	q, err := parseQuery(r.Request)
	if err != nil {
		return err
	}
	limit, err := intParam(q, "limit", defaultItems, 1, maxItems)
	if err != nil {
		return err
	}
	state := codestory.FileState(q.Get("state"))
	switch state {
	case "", codestory.Queued, codestory.Uploading, codestory.Retrying, codestory.Blocked:
	default:
		return badRequest("invalid_parameter", "state has to be queued, uploading, retrying or blocked")
	}
	page, err := s.queue.Queue(r.Context(), state, int(limit), q.Get("cursor"))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, page)
}

// retry answers POST /api/queue/retry.
func (s *server) retry(w http.ResponseWriter, r *request) error {
	var req RetryRequest
	if r.ContentLength != 0 {
		if err := readJSON(r.Request, &req); err != nil {
			return err
		}
	}
	n, err := s.queue.Retry(r.Context(), req.Path)
	if errors.Is(err, codestory.ErrNotFound) {
		return missing("no file " + shown(req.Path) + " is in the queue")
	}
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, RetryAnswer{Retried: n})
}

// pause answers POST /api/queue/pause.
func (s *server) pause(w http.ResponseWriter, r *request) error { return s.setPaused(w, r, true) }

// resume answers POST /api/queue/resume.
func (s *server) resume(w http.ResponseWriter, r *request) error { return s.setPaused(w, r, false) }

func (s *server) setPaused(w http.ResponseWriter, r *request, paused bool) error {
	if err := s.queue.Pause(r.Context(), paused); err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, PauseAnswer{Paused: paused})
}

// drop answers DELETE /api/queue/{path}.
func (s *server) drop(w http.ResponseWriter, r *request) error {
	path := strings.TrimPrefix(r.PathValue("path"), "/")
	err := s.queue.Drop(r.Context(), path)
	if errors.Is(err, codestory.ErrNotFound) {
		return missing("no file " + shown(path) + " is in the queue")
	}
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// metrics is what GET /metrics tells. What the daemon knows anyway is asked of it at each scrape; only requests are
// counted as they come.
type metrics struct {
	scrape   http.Handler
	requests *prometheus.CounterVec
}

func newMetrics(monitor Monitor, version string) *metrics {
	m := &metrics{requests: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "codestoryd_http_requests_total", Help: "HTTP requests that were answered.",
	}, []string{"route", "method", "code"})}
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "codestoryd_build_info", Help: "Always 1; the labels say which build this is.",
		ConstLabels: prometheus.Labels{"version": version, "goversion": runtime.Version()},
	})
	info.Set(1)
	registry := prometheus.NewRegistry()
	registry.MustRegister(m.requests, info, collector{monitor}, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.scrape = promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
	return m
}

// count counts an answer. Routes are counted by their pattern: a path would be a metric of its own for each story.
func (m *metrics) count(route, method string, status int) {
	m.requests.WithLabelValues(route, method, strconv.Itoa(status)).Inc()
}

// scrape answers GET /metrics.
func (s *server) scrape(w http.ResponseWriter, r *request) error {
	w.Header().Set("Cache-Control", "no-store")
	s.metrics.scrape.ServeHTTP(w, r.Request)
	return nil
}

// describe is a metric of the daemon.
func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("codestoryd_"+name, help, labels, nil)
}

var (
	queueFiles    = describe("queue_files", "Files that wait, by state.", "state")
	queueBytes    = describe("queue_bytes", "Bytes of the files that wait.")
	queueOldest   = describe("queue_oldest_seconds", "How long the oldest file has waited, blocked ones left out.")
	queuePaused   = describe("queue_paused", "1 while a person has paused the queue.")
	syncedFiles   = describe("synced_files", "Files whose present version is in the store.")
	syncedBytes   = describe("synced_bytes", "Bytes of the files whose present version is in the store.")
	inFlight      = describe("uploads_in_flight", "Uploads under way.")
	uploadsTotal  = describe("uploads_total", "Uploads that were stored and proved.")
	failuresTotal = describe("upload_failures_total", "Attempts that failed, by what was made of them: retry, block or pause.", "class")
	sentTotal     = describe("sent_bytes_total", "Bytes that were sent to the store, with those of attempts that failed.")
	remoteState   = describe("remote_state", "1 for the state that the store is in, 0 for the others.", "state")
	watchDirs     = describe("watch_directories", "Directories that are watched.")
	watchScan     = describe("watch_scan_seconds", "How long the last whole scan took.")
	watchLast     = describe("watch_last_scan_timestamp_seconds", "When the last whole scan ended.")
	storageUsed   = describe("storage_used_bytes", "Bytes in the store, where it tells.")
	storageQuota  = describe("storage_quota_bytes", "Bytes that the store may hold, where it tells.")
	problemCount  = describe("problems", "Things that are wrong beyond single files, by code.", "code")
)

var remoteStates = []codestory.RemoteState{codestory.RemoteOK, codestory.RemoteUnavailable, codestory.RemoteDenied,
	codestory.RemoteMissing, codestory.RemoteFull}

// collector makes metrics of the daemon's status.
type collector struct{ monitor Monitor }

// Describe sends nothing: which metrics there are depends on the status.
func (c collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector. Where the status cannot be had, its metrics are absent.
func (c collector) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v int64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	done := c.monitor.Counters()
	counter(uploadsTotal, done.Uploads)
	counter(sentTotal, done.SentBytes)
	for class, n := range done.Failures {
		counter(failuresTotal, n, class)
	}
	gauge(watchScan, done.ScanTook.Seconds())
	s, err := c.monitor.Status(context.Background())
	if err != nil {
		return
	}
	gauge(queueFiles, float64(s.Queue.Queued), "queued")
	gauge(queueFiles, float64(s.Queue.Uploading), "uploading")
	gauge(queueFiles, float64(s.Queue.Retrying), "retrying")
	gauge(queueFiles, float64(s.Queue.Blocked), "blocked")
	gauge(queueBytes, float64(s.Queue.Bytes))
	gauge(queueOldest, float64(s.Queue.OldestSeconds))
	gauge(queuePaused, oneIf(s.Queue.Paused))
	gauge(syncedFiles, float64(s.Synced.Files))
	gauge(syncedBytes, float64(s.Synced.Bytes))
	gauge(inFlight, float64(len(s.Uploads)))
	for _, state := range remoteStates {
		gauge(remoteState, oneIf(s.Remote.State == state), string(state))
	}
	if s.Watch != nil {
		gauge(watchDirs, float64(s.Watch.Directories))
		if s.Watch.LastScan != nil {
			gauge(watchLast, float64(s.Watch.LastScan.UnixMilli())/1000)
		}
	}
	if s.Storage != nil {
		gauge(storageUsed, float64(s.Storage.UsedBytes))
		gauge(storageQuota, float64(s.Storage.QuotaBytes))
	}
	codes := map[string]int{}
	for _, p := range s.Problems {
		codes[p.Code]++
	}
	for code, n := range codes {
		gauge(problemCount, float64(n), code)
	}
}

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
