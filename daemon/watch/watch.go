// Package watch finds out which files of the output directory are finished, and hands each on once.
//
// A file is finished as soon as nobody has it open for writing. If the system cannot tell, it is finished once nothing
// has happened to it for a while. File events are hints, the scan is the truth: what an event missed, the next scan
// finds. A Tree reads the directory, for players and uploads too; a Watcher scans it, follows the events in between, and
// gives finished files to a Sink.
//
// The package must not know what becomes of a file: how it is recorded, or where it is uploaded to.
package watch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/internal/problem"
	"github.com/codestory/codestoryd/internal/wait"
)

// Change is a file to upload, as the watcher found it, or a metadata.json that the rules exclude, which is only read.
type Change struct {
	Name    string         // relative to the output directory, in the file system's bytes
	Path    codestory.Path // the same; "" if Fault is set
	Version codestory.Version
	Fault   *codestory.PathError // why the name cannot be a key: a person has to rename the file
	Again   bool                 // Recheck was called: it counts even if this version is known
}

// Sink receives the finished files.
type Sink interface {
	// Finished makes the versions durable that the sink does not know yet, up to 1,000 at a time, and returns nil once
	// they are. On an error all of them come again. Scans offer every file of the tree: the sink looks it up first,
	// and calls ready before it records one that it does not know. If ready returns false, the file is not finished,
	// and comes later by itself. Finished may be called concurrently.
	Finished(ctx context.Context, files []Change, ready func(Change) bool) error
}

// Options are optional settings of a Watcher.
type Options struct {
	// Settle is how long a file has to stay the same before it is finished, if the system cannot tell whether somebody
	// has it open for writing, or if it is written again right after it was finished; 2 s if 0.
	Settle time.Duration
	// ScanEvery is the time between the end of a whole scan and the next one; 10 minutes if 0.
	ScanEvery time.Duration
	// Rules say what is ignored; nothing if zero.
	Rules Rules
	// Logger receives problems as they begin and end; nothing is logged if nil.
	Logger *slog.Logger
	// Problems receives what is wrong with the directory; a set of the Watcher's own if nil.
	Problems *problem.Set
}

const (
	// DefaultSettle is Options.Settle unless the user says otherwise.
	DefaultSettle    = 2 * time.Second
	defaultScanEvery = 10 * time.Minute
	pollEvery        = 50 * time.Second // at most between scans while not every directory is watched: one in each minute
	rootEvery        = 5 * time.Second  // between checks that the output directory is there
	retryEvery       = 2 * time.Second  // between attempts to read unreadable directories
)

// The codes of the problems that a Watcher reports.
const (
	problemDirMissing    = "dir_missing"     // the output directory is gone or unreadable
	problemScanFailed    = "scan_failed"     // the last scan did not reach its end
	problemDirUnreadable = "dir_unreadable"  // directories in it cannot be read
	problemWatchLimit    = "watch_limit"     // directories cannot be watched
	problemEventsLost    = "events_lost"     // the system's file events do not work
	problemHandOver      = "handover_failed" // the sink does not take finished files
)

// Watcher watches a Tree. Run may be called once, the other methods concurrently.
type Watcher struct {
	tree     *Tree
	sink     Sink
	opts     Options
	settling *settling
	problems *problem.Set

	// Tests replace these before Run.
	notify     func() (notifier, error)
	writersOf  func(*os.File) (writers, os.FileInfo, error)
	pollEvery  time.Duration
	rootEvery  time.Duration
	retryEvery time.Duration

	mu       sync.Mutex
	session  *session // nil while the directory cannot be watched
	lastScan *time.Time
	scanTook time.Duration
}

// New makes a Watcher of the tree.
func New(tree *Tree, sink Sink, opts Options) *Watcher {
	if opts.Settle <= 0 {
		opts.Settle = DefaultSettle
	}
	if opts.ScanEvery <= 0 {
		opts.ScanEvery = defaultScanEvery
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Problems == nil {
		opts.Problems = problem.NewSet(opts.Logger)
	}
	return &Watcher{
		tree:       tree,
		sink:       sink,
		opts:       opts,
		settling:   newSettling(opts.Settle),
		problems:   opts.Problems,
		notify:     openNotifier,
		writersOf:  writersOf,
		pollEvery:  pollEvery,
		rootEvery:  rootEvery,
		retryEvery: retryEvery,
	}
}

// Run watches until ctx ends, and returns nil then. Whatever goes wrong meanwhile is a problem, and tried again.
func (w *Watcher) Run(ctx context.Context) error {
	var group errgroup.Group
	group.Go(func() error { return w.finishFiles(ctx) })
	group.Go(func() error { return w.watchTree(ctx) })
	return group.Wait()
}

// watchTree keeps a session running while the output directory is there, and waits for it while it is not.
func (w *Watcher) watchTree(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := w.tree.reopen(); err != nil {
			w.report(problemDirMissing, fmt.Sprintf(
				"%v; nothing counts as deleted, and it is watched again as soon as it is back", err))
			wait.Sleep(ctx, w.rootEvery)
			continue
		}
		w.problems.Clear(problemDirMissing)
		err := w.runSession(ctx)
		if !errors.Is(err, errNoEvents) && !errors.Is(err, errRootGone) {
			wait.Sleep(ctx, w.rootEvery)
		}
	}
	return nil
}

func (w *Watcher) report(code, message string) {
	w.problems.Report(codestory.Problem{Code: code, Message: message})
}

func (w *Watcher) setSession(s *session) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.session = s
}

// scanned notes that a whole scan has ended.
func (w *Watcher) scanned(began time.Time) {
	took, now := time.Since(began), time.Now().Round(0)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lastScan, w.scanTook = &now, took
}

// ScanTook is how long the last whole scan took; 0 before there was one.
func (w *Watcher) ScanTook() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.scanTook
}

// Recheck lets the file settle again and hands it on again, even as the same version: for a caller that found that it
// is not the version that was handed on.
func (w *Watcher) Recheck(path codestory.Path) { w.settling.recheck(path) }

// Rescan requests a scan soon, for a sink that has forgotten what it knew.
func (w *Watcher) Rescan() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.session != nil { // if there is none, the next one begins with a scan
		signal(w.session.rescan)
	}
}

// Status says how the directory is being watched.
func (w *Watcher) Status() codestory.WatchStatus {
	w.mu.Lock()
	defer w.mu.Unlock()
	status := codestory.WatchStatus{Mode: "polling", LastScan: w.lastScan}
	if w.session != nil {
		status.Directories = w.session.watched()
		if !w.session.polling() {
			status.Mode = "events"
		}
	}
	return status
}

// Problems are the current problems with watching.
func (w *Watcher) Problems() []codestory.Problem { return w.problems.List() }

// Settling returns the files of the story that are still being written, and why each takes so long; "" if there is
// nothing to say.
func (w *Watcher) Settling(story codestory.StoryID) map[codestory.Path]string {
	return w.settling.ofStory(story)
}
