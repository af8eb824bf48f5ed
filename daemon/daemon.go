// Package daemon is one session of the running program: it wires the watcher, the library and the uploads to one database
// and one store, runs them, and describes what they do: status, problems, events. It knows stores by remote.Store alone, and
// must not know HTTP routes, flags or which library does what.
//
// The life of a file:
//
//	the generator closes it
//	  │  watch: nobody has it open for writing any more; if that cannot be told, it has been quiet for a moment
//	  ▼
//	library.Finished, queue.Enqueue  killed before: the next scan finds it again
//	  │                              killed after: it waits in the database
//	  ▼
//	upload: the breaker, queue.Next  the store answers, and it is this file's turn
//	  │
//	  ▼
//	open, compare versions           changed: back to the watcher; gone: forgotten
//	  │
//	  ▼
//	remote.Store.Put                 killed: nothing or the whole object is in the store; the file still waits,
//	  │                              and putting it again is harmless
//	  ▼
//	queue.Claim.Finish               proved and indexed; links are the store's from now on
//
// Of what goes wrong, the error's class decides: the file is tried again later, waits for a person, or is given back
// because the store fails, in which case the breaker stops uploads.
package daemon

import (
	"context"
	"log/slog"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/daemon/library"
	"github.com/codestory/codestoryd/daemon/upload"
	"github.com/codestory/codestoryd/daemon/watch"
	"github.com/codestory/codestoryd/internal/problem"
	"github.com/codestory/codestoryd/queue"
	"github.com/codestory/codestoryd/remote"
)

// Options are what New can do without.
type Options struct {
	Concurrency int           // uploads at once; 0 leaves that to the daemon
	Watch       watch.Options // its Logger is set from Logger
	Logger      *slog.Logger  // nil logs nothing
	Version     string        // of the program, for Status
	Address     string        // that the API is served at, for Status
	Started     time.Time     // when the program was, for Status; zero is now
	Problems    *problem.Set  // what is wrong with all of the process, for Status; a set of the daemon's own if nil
	Spool       string        // folder for what is received until it is stored; "" is the system's for temporary files
}

// Daemon joins the output directory, the queue and the store. It owns none of them: the caller closes them, after
// Watch, Upload and ScanAudio have returned.
type Daemon struct {
	*library.Library

	tree    *watch.Tree
	rules   watch.Rules
	watcher *watch.Watcher
	queue   *queue.Queue
	remote  remote.Store
	uploads *upload.Pipeline
	events  events

	sounds *audioHints

	log      *slog.Logger
	version  string
	address  string
	problems *problem.Set
	made     time.Time
	started  time.Time // of the program
}

// New wires a daemon that does nothing yet: the caller runs Watch, Upload and ScanAudio.
func New(tree *watch.Tree, q *queue.Queue, store remote.Store, opts Options) *Daemon {
	log := opts.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	d := &Daemon{
		tree: tree, rules: opts.Watch.Rules, queue: q, remote: store, sounds: newAudioHints(),
		log:     log.With("component", "daemon"),
		version: opts.Version, address: opts.Address, problems: opts.Problems,
		made:    time.Now().Round(0),
		started: opts.Started,
	}
	if d.started.IsZero() {
		d.started = d.made
	}
	if d.problems == nil {
		d.problems = problem.NewSet(log)
	}
	opts.Watch.Logger, opts.Watch.Problems = log.With("component", "watch"), d.problems
	d.watcher = watch.New(tree, sink{d}, opts.Watch)
	d.uploads = upload.New(tree, q, store, upload.Options{
		Concurrency: opts.Concurrency, Rules: d.rules, Recheck: d.watcher.Recheck, Observer: &d.events, Logger: log,
	})
	d.Library = library.New(tree, d.watcher, q, store, d.uploads, library.Options{
		Rules: d.rules, Problems: d.problems, Logger: log, Spool: opts.Spool,
		Enqueued: d.sounds.add, StoryChanged: d.events.touch,
	})
	q.Observe(d.events.FileChanged)
	return d
}

// sink hands what the watcher finds to the library, which needs the watcher to be made.
type sink struct{ d *Daemon }

func (s sink) Finished(ctx context.Context, files []watch.Change, ready func(watch.Change) bool) error {
	return s.d.Library.Finished(ctx, files, ready)
}

// Started is when the daemon was made, and its events begin.
func (d *Daemon) Started() time.Time { return d.made }

// Watch watches the output directory until ctx ends.
func (d *Daemon) Watch(ctx context.Context) error { return d.watcher.Run(ctx) }

// Upload uploads what waits until soft ends, and maintains what is in the store. It ends as upload.Pipeline.Run does.
func (d *Daemon) Upload(soft, hard context.Context) error {
	until := func(run func(context.Context)) Service {
		return func(soft, _ context.Context) error {
			run(soft)
			return nil
		}
	}
	return Serve(soft, hard,
		d.uploads.Run,
		until(d.Maintain),
		until(func(ctx context.Context) { d.watchClock(ctx, time.Now) }),
	)
}

// Counters is what the daemon has done since it started.
func (d *Daemon) Counters() codestory.Counters {
	c := d.uploads.Counters()
	c.ScanTook = d.watcher.ScanTook()
	return c
}
