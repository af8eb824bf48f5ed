// Package watch turns what happens in the output directory into settled changes: this path, this version, finished.
//
// A file is finished as soon as nobody has it open for writing any more, where the system can tell (Linux, by a lease);
// elsewhere, once it has been quiet for a while. A Tree reads the directory; a Watcher scans it, follows the system's file events in between, and hands on each file
// once nobody writes to it any more. Events are hints and the scan is the truth: whatever an event missed, the next
// scan finds. The package must not know what becomes of a change, how it is stored, or where it is uploaded to.
package watch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/internal/problem"
)

// Change is a file that is to be uploaded, as the watcher found it, or a metadata.json that the rules exclude, which is to
// be read only.
type Change struct {
	Name    string         // relative to the output directory, in the bytes of the file system
	Path    codestory.Path // the same; "" where Fault is set
	Version codestory.Version
	Fault   *codestory.PathError // why no key can be made of the name: a person has to rename the file
}

// Sink takes the changes. Its methods may be called at the same time.
type Sink interface {
	// Unknown returns those of the files whose version is neither stored, nor waiting, nor left alone for a reason
	// of its own. A scan asks for every file of the tree, up to 1,000 at a time.
	Unknown(ctx context.Context, seen []Change) ([]Change, error)
	// Settled takes files that are finished, up to 500. It returns nil once they are durable: the watcher forgets
	// them then. On an error it comes again with all of them.
	Settled(ctx context.Context, changes []Change) error
}

// Options are what a Watcher can do without.
type Options struct {
	// Settle is how long a file has to stay the same before it is finished, where it cannot be told whether somebody
	// has it open for writing, or where it is written again right after it was finished; 2 s where 0.
	Settle time.Duration
	// ScanEvery is the time between the end of a whole scan and the next one; 10 minutes where 0.
	ScanEvery time.Duration
	// Rules are what is left alone; nothing where zero.
	Rules Rules
	// Logger gets what begins and ends to be wrong; nobody does where nil.
	Logger *slog.Logger
	// Problems receives what is wrong with the directory; a set of the Watcher's own if nil.
	Problems *problem.Set
}

const (
	// DefaultSettle is Options.Settle unless the user says otherwise.
	DefaultSettle    = 2 * time.Second
	defaultScanEvery = 10 * time.Minute
	pollEvery        = 50 * time.Second // at most between scans while not every directory is watched: one in each minute
	rootEvery        = 5 * time.Second  // between looks at whether the output directory is there
)

// Watcher watches a Tree. Its methods may be called at the same time, Run once.
type Watcher struct {
	tree     *Tree
	sink     Sink
	opts     Options
	pending  *pending
	problems *problem.Set

	sinkDelay time.Duration // of the goroutine that settles files

	// Tests put other ones here before Run.
	notify    func() (notifier, error)
	writersOf func(*os.File) (writers, os.FileInfo, error)
	pollEvery time.Duration
	rootEvery time.Duration

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
		tree:      tree,
		sink:      sink,
		opts:      opts,
		pending:   newPending(opts.Settle),
		problems:  opts.Problems,
		notify:    openNotifier,
		writersOf: writersOf,
		pollEvery: pollEvery,
		rootEvery: rootEvery,
	}
}

// Run watches until ctx ends, and returns nil then. Whatever goes wrong meanwhile is a problem, and tried again.
func (w *Watcher) Run(ctx context.Context) error {
	return all(ctx, w.settleFiles, w.watchDir)
}

// watchDir keeps a session going while the output directory is there, and waits for it to come back while it is not.
func (w *Watcher) watchDir(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := w.tree.reopen(); err != nil {
			w.report(problemDirMissing, fmt.Sprintf(
				"%v; nothing counts as deleted, and it is watched again as soon as it is back", err))
			pause(ctx, w.rootEvery)
			continue
		}
		w.problems.Clear(problemDirMissing)
		err := w.runSession(ctx)
		if !errors.Is(err, errNoEvents) && !errors.Is(err, errRootGone) {
			pause(ctx, w.rootEvery)
		}
	}
	return nil
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

// ScanTook is how long the last whole scan has taken; 0 before there was one.
func (w *Watcher) ScanTook() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.scanTook
}

// Recheck lets the file settle once more and hands it on again, whatever is known of its version: for whoever found
// that it is not the version that had settled.
func (w *Watcher) Recheck(path codestory.Path) { w.pending.recheck(path) }

// Rescan looks at the whole directory soon, and hands on what the sink does not know: for a sink that has forgotten.
func (w *Watcher) Rescan() {
	w.pending.forget()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.session != nil { // else it is scanned when it is back
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

// Problems are what is wrong with watching now.
func (w *Watcher) Problems() []codestory.Problem { return w.problems.List() }

// Settling are the files of the story that are still being written, in no order.
func (w *Watcher) Settling(story codestory.StoryID) []codestory.Path { return w.pending.ofStory(story) }

// SettlingReason says of a file that settles why it takes so long, "" where there is nothing to say. settling is
// false where it does not.
func (w *Watcher) SettlingReason(path codestory.Path) (reason string, settling bool) {
	return w.pending.reason(string(path))
}

// all runs the functions at the same time, ends the context of all when one returns, and waits for the others. It
// returns the error that ended them, nil where ctx did.
func all(ctx context.Context, run ...func(context.Context) error) error {
	inner, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for _, f := range run {
		wg.Go(func() { cancel(f(inner)) })
	}
	wg.Wait()
	if cause := context.Cause(inner); ctx.Err() == nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}
