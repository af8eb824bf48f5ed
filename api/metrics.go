package api

import (
	"context"
	"net/http"
	"runtime"
	"strconv"

	"github.com/julienschmidt/httprouter"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/codestory/codestoryd"
)

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

// tellMetrics answers GET /metrics.
func (s *server) tellMetrics(w http.ResponseWriter, r *http.Request, _ httprouter.Params) error {
	w.Header().Set("Cache-Control", "no-store")
	s.metrics.scrape.ServeHTTP(w, r)
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
