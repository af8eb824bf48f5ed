// Package upload stores the files that wait in the queue: it claims them, playable first, hands them to a remote.Store
// while the breaker lets it, and writes down what came of each. It also maintains what unfinished uploads leave behind. It
// must not know stories, players or the API.
package upload

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/daemon/watch"
	"github.com/codestory/codestoryd/internal/wait"
	"github.com/codestory/codestoryd/queue"
	"github.com/codestory/codestoryd/remote"
)

// drainTime is how long uploads under way may go on after the first signal.
const drainTime = 8 * time.Second

// Unless a person has set a number, up to 32 small files are uploaded at once, or 8 large ones. A small file waits for the
// store far longer than its bytes are on the line, so many at once are what keeps it busy; of large ones a few do, and more
// would only keep the first from being done. There is room for a large one before each claim, whose size is not known yet.
const (
	largeWeight = 4 // a small one's is 1
	totalWeight = 32 + largeWeight - 1
	smallBytes  = 1 << 20
)

// Options are the optional parts of New.
type Options struct {
	Concurrency int                  // uploads at once; 0 leaves that to the pipeline
	Rules       watch.Rules          // what is excluded is not uploaded
	Recheck     func(codestory.Path) // receives files that have to settle again
	Observer    Observer             // gets what happens
	Logger      *slog.Logger         // nil logs nothing
}

// Observer gets what happens as it does. It must not block.
type Observer interface {
	FileChanged(queue.File)
	UploadChanged(codestory.Upload)
	StoreChanged(StoreState)
}

// Pipeline uploads what waits in the queue.
type Pipeline struct {
	tree     *watch.Tree
	rules    watch.Rules
	recheck  func(codestory.Path)
	queue    *queue.Queue
	store    remote.Store
	observer Observer
	log      *slog.Logger

	breaker  *breaker
	running  running
	inFlight inFlight
	dirSeen  dirSeen
	counters counters

	slots       *semaphore.Weighted
	largeWeight int64
}

// New returns a pipeline that does nothing until Run.
func New(tree *watch.Tree, q *queue.Queue, store remote.Store, opts Options) *Pipeline {
	log := opts.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	p := &Pipeline{
		tree: tree, rules: opts.Rules, recheck: opts.Recheck, queue: q, store: store, observer: opts.Observer,
		log:   log.With("component", "upload"),
		slots: semaphore.NewWeighted(totalWeight), largeWeight: largeWeight,
	}
	if p.recheck == nil {
		p.recheck = func(codestory.Path) {}
	}
	if p.observer == nil {
		p.observer = nobody{}
	}
	if opts.Concurrency > 0 {
		p.slots, p.largeWeight = semaphore.NewWeighted(int64(opts.Concurrency)), 1
	}
	p.breaker = newBreaker(store, log.With("component", "remote"), p.anythingWaits)
	p.breaker.onChange = p.observer.StoreChanged
	return p
}

type nobody struct{}

func (nobody) FileChanged(queue.File)         {}
func (nobody) UploadChanged(codestory.Upload) {}
func (nobody) StoreChanged(StoreState)        {}

// ProbeNow has the store asked at once, and forgets how often it failed.
func (p *Pipeline) ProbeNow() { p.breaker.probeNow() }

// Store is what people are told of the store now.
func (p *Pipeline) Store() StoreState { return p.breaker.storeState() }

// Reads reports whether objects can be had from the store. One that takes no uploads may still give what it has.
func (p *Pipeline) Reads() bool { return p.breaker.reads() }

// AnswersNow is Reads, with the store asked if it has not been heard of for a moment.
func (p *Pipeline) AnswersNow(ctx context.Context) bool { return p.breaker.answersNow(ctx) }

// anythingWaits reports whether there is anything to upload.
func (p *Pipeline) anythingWaits() bool {
	s, err := p.queue.Stats()
	return err == nil && s.Queued+s.Uploading+s.Retrying > 0
}

// Run claims files and stores them until soft ends; then it begins no more, lets those under way finish for a
// while, and cuts them. When hard ends it cuts them at once. What is cut waits again, untouched. A database that cannot
// be written for a while, as on a full disk, is waited for; one that is damaged is the error.
func (p *Pipeline) Run(soft, hard context.Context) error {
	soft, stop := context.WithCancel(soft)
	work, cut := context.WithCancel(hard)
	defer cut()
	stopCutting := context.AfterFunc(soft, func() {
		t := time.AfterFunc(drainTime, cut)
		context.AfterFunc(work, func() { t.Stop() })
	})
	defer stopCutting()

	var workers sync.WaitGroup
	defer workers.Wait()
	defer stop()
	workers.Go(func() { p.breaker.run(soft) })
	workers.Go(func() { p.sweep(soft) })
	workers.Go(func() { p.watchStaleWrites(soft) })
	for {
		if p.slots.Acquire(soft, p.largeWeight) != nil {
			return nil
		}
		claim, permit, err := p.nextRetrying(soft)
		if err != nil {
			if soft.Err() != nil {
				return nil
			}
			return err
		}
		weight := p.largeWeight
		if claim.Version.Size < smallBytes {
			weight = 1
			p.slots.Release(p.largeWeight - weight)
		}
		workers.Go(func() {
			defer p.slots.Release(weight)
			p.finish(work, claim, permit)
		})
	}
}

// nextRetrying is next, tried again while the database cannot be used. Its error is ctx's, or queue.ErrDamaged.
func (p *Pipeline) nextRetrying(ctx context.Context) (claim *queue.Claim, permit *permit, err error) {
	err = queue.RetryDB(ctx, func() (err error) {
		claim, permit, err = p.next(ctx)
		return err
	})
	return claim, permit, err
}

// next claims a file that may be uploaded now.
func (p *Pipeline) next(ctx context.Context) (*queue.Claim, *permit, error) {
	for {
		if err := p.WaitForDir(ctx); err != nil {
			return nil, nil, err
		}
		permit, err := p.breaker.acquire(ctx)
		if err != nil {
			return nil, nil, err
		}
		claim, err := p.queue.Next(ctx)
		if err != nil {
			permit.release()
			return nil, nil, err
		}
		if permit.valid() {
			return claim, permit, nil
		}
		claim.Release()
		permit.release()
	}
}

// finish uploads the claimed version and writes down what came of it. While that cannot be written the claim stays
// open, so that nothing is uploaded twice for it.
func (p *Pipeline) finish(ctx context.Context, claim *queue.Claim, permit *permit) {
	ctx, done := p.running.begin(ctx, claim.Path)
	defer done()
	object, err := p.put(ctx, claim)
	outcome := p.conclude(ctx, claim, permit, object, err)
	if u, ok := errors.AsType[*remote.UnansweredError](err); ok {
		outcome.Unanswered = u.ETag
	}
	if queue.RetryDB(ctx, func() error { return claim.Finish(outcome) }) != nil {
		claim.Release()
		return
	}
	if outcome.Kind == queue.Changed {
		p.recheck(claim.Path)
	}
}

// conclude tells the breaker how an upload went, and returns what is to become of the claim.
func (p *Pipeline) conclude(ctx context.Context, claim *queue.Claim, permit *permit, object remote.Object, err error) queue.Outcome {
	switch {
	case err == nil:
		permit.succeeded()
		p.counters.uploads.Add(1)
		return queue.Outcome{Kind: queue.Done, Object: queue.Stored{Size: object.Size, ETag: object.ETag, MD5: object.MD5}}
	case errors.Is(err, watch.ErrDirMissing):
		p.dirSeen.set(time.Time{})
		permit.release()
		return queue.Outcome{Kind: queue.Released}
	case codestory.ClassOf(ctx, err) == codestory.ClassStopped, errors.Is(err, errSuperseded):
		permit.release()
		return queue.Outcome{Kind: queue.Released}
	case errors.Is(err, errUnchanged):
		permit.release()
		return queue.Outcome{Kind: queue.Done, Object: *claim.Stored}
	case errors.Is(err, errGone):
		permit.release()
		return queue.Outcome{Kind: queue.Gone}
	case errors.Is(err, codestory.ErrChanged):
		permit.release()
		return queue.Outcome{Kind: queue.Changed}
	default:
		return p.failed(ctx, claim, permit, err)
	}
}

// failed tells the breaker of a fault that may be the store's, and returns when the file is to be tried again.
func (p *Pipeline) failed(ctx context.Context, claim *queue.Claim, permit *permit, err error) queue.Outcome {
	log := p.log.With("path", claim.Path, "error", err)
	class := codestory.ClassOf(ctx, err)
	p.counters.failed(class)
	if _, here := errors.AsType[*readError](err); here {
		permit.release()
	} else if class == codestory.ClassBlock {
		permit.succeeded() // the store is well: it said what is wrong with the file
	} else {
		permit.failed(err)
	}
	switch class {
	case codestory.ClassPause:
		return queue.Outcome{Kind: queue.Deferred}
	case codestory.ClassBlock:
		log.Warn("a file needs a person")
		return queue.Outcome{Kind: queue.Block, Reason: codestory.Hint(err)}
	default:
		delay := itemDelay(claim.Attempt)
		log.Warn("an upload failed", "attempt", claim.Attempt, "again_in", delay.Round(100*time.Millisecond))
		return queue.Outcome{Kind: queue.Retry, Due: time.Now().Add(delay), Reason: codestory.Hint(err)}
	}
}

// quickAttempts at one file follow one another closely: most of what goes wrong on the way is over in a moment.
const quickAttempts = 3

var (
	quickDelays = wait.Backoff{First: 250 * time.Millisecond, Most: 500 * time.Millisecond}
	itemDelays  = wait.Backoff{First: 2 * time.Second, Most: 10 * time.Minute}
)

// itemDelay is how long a file waits after that many failures in a row, from 1. There is no last attempt.
func itemDelay(failures int) time.Duration {
	if failures < quickAttempts {
		return quickDelays.After(failures)
	}
	return itemDelays.After(failures - quickAttempts + 1)
}
