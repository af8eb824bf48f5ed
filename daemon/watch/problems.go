package watch

import "github.com/codestory/codestoryd"

// The codes of Problems.
const (
	problemDirMissing    = "dir_missing"     // the output directory is gone or unreadable
	problemScanFailed    = "scan_failed"     // the last scan did not reach its end
	problemDirUnreadable = "dir_unreadable"  // directories in it cannot be read
	problemWatchLimit    = "watch_limit"     // directories cannot be watched
	problemEventsLost    = "events_lost"     // the system's file events do not work
	problemHandOver      = "handover_failed" // the sink does not take what has settled
	problemLookUp        = "lookup_failed"   // the sink does not say what it knows
)

func (w *Watcher) report(code, message string) {
	w.problems.Report(codestory.Problem{Code: code, Message: message})
}
