// Package library answers for the API what is where: which stories there are and whose, how a file plays, from this machine or
// from the store. It makes what has finished durable in the queue, reads what metadata.json files say, receives and deletes
// objects, and asks the store for what only the store knows. It must not know HTTP routes.
package library

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/daemon/upload"
	"github.com/codestory/codestoryd/daemon/watch"
	"github.com/codestory/codestoryd/internal/problem"
	"github.com/codestory/codestoryd/internal/wait"
	"github.com/codestory/codestoryd/queue"
	"github.com/codestory/codestoryd/remote"
)

// Options are the optional parts of New.
type Options struct {
	Rules        watch.Rules
	Problems     *problem.Set                            // nil is a set of the library's own
	Logger       *slog.Logger                            // nil logs nothing
	Spool        string                                  // folder for what is received until it is stored; "" is the system's for temporary files
	Enqueued     func(codestory.Path, codestory.Version) // is called with each file that was made durable
	StoryChanged func(codestory.StoryID)                 // is called when what is known of a story may have changed
}

// Library is what there is, here and in the store. All methods may be called concurrently.
type Library struct {
	tree    *watch.Tree
	rules   watch.Rules
	watcher *watch.Watcher
	queue   *queue.Queue
	store   remote.Store
	uploads *upload.Pipeline

	enqueuedFile func(codestory.Path, codestory.Version)
	storyChanged func(codestory.StoryID)
	problems     *problem.Set
	log          *slog.Logger
	spool        string

	absent     absences
	asked      questions
	swept      questions // for the metadata.json of stories without an owner
	collisions unicodeCollisions
	receiving  sync.Map // of codestory.Path: for which a form brings a file

	reading sync.Mutex                              // held from the reading of a metadata.json until what it says is in the index
	settled map[codestory.StoryID]codestory.Version // of excluded metadata.json that was handed on; guarded by reading
}

// New returns a library whose answers are good once the watcher, the uploads and Maintain run. The watcher may be given the
// library as its sink before New was called, if it does not run yet.
func New(tree *watch.Tree, watcher *watch.Watcher, q *queue.Queue, store remote.Store, uploads *upload.Pipeline, opts Options) *Library {
	log := opts.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	l := &Library{
		tree: tree, rules: opts.Rules, watcher: watcher, queue: q, store: store, uploads: uploads,
		enqueuedFile: opts.Enqueued, storyChanged: opts.StoryChanged, problems: opts.Problems,
		log: log.With("component", "library"), spool: opts.Spool,
		swept: questions{keep: sweepOwnerEvery},
	}
	if l.problems == nil {
		l.problems = problem.NewSet(log)
	}
	if l.enqueuedFile == nil {
		l.enqueuedFile = func(codestory.Path, codestory.Version) {}
	}
	if l.storyChanged == nil {
		l.storyChanged = func(codestory.StoryID) {}
	}
	removeSpooled(l.spool)
	return l
}

// ReportProblems brings the problem set up to what the library finds now. It also does so once a minute.
func (l *Library) ReportProblems() error {
	l.collisions.report(l.tree, l.problems)
	return l.reportRemovals()
}

const sweepEvery = time.Minute

// Maintain maintains what the library knows of the store until ctx ends.
func (l *Library) Maintain(ctx context.Context) {
	var running sync.WaitGroup
	running.Go(func() { l.reindex(ctx) })
	l.sweep(ctx)
	running.Wait()
}

// sweep looks, every minute until ctx ends, after what nothing else comes back to: objects of deleted stories, and stories
// without an owner.
func (l *Library) sweep(ctx context.Context) {
	unowned := ""
	for ok := true; ok; ok = wait.Sleep(ctx, sweepEvery) {
		var err error
		if unowned, err = l.readOwners(ctx, unowned); err != nil && ctx.Err() == nil {
			l.log.Warn("whose some stories are could not be read; it is tried again", "error", err)
		}
		if l.uploads.Reads() {
			if err := l.removeObjects(ctx, ""); err != nil && ctx.Err() == nil {
				l.log.Warn("objects of deleted stories could not be deleted; it is tried again", "error", err)
			}
		}
		if err := l.ReportProblems(); err != nil && ctx.Err() == nil {
			l.log.Warn("what is wrong could not be looked up; it is tried again", "error", err)
		}
	}
}
