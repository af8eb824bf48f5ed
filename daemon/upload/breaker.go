package upload

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/internal/wait"
	"github.com/codestory/codestoryd/remote"
)

// breaker is the one breaker of the destination. It begins down:
//
//	down ── the store answers Check ──▶ trial ── an upload gets through ──▶ up
//	  ▲                                   │                                 │
//	  └── the store fails ────────────────┴─────────────────────────────────┘
//
// While it is down, no upload is begun, and the store is asked again after a delay. On trial, one upload at a time is. So however
// many files wait, a store that refuses them hears of two requests in each delay: a Check and one upload; and one at
// which they fail for no reason that is its own, of three uploads.
type breaker struct {
	store    remote.Store
	log      *slog.Logger
	waiting  func() bool      // whether there is anything to upload
	onChange func(StoreState) // of each that is new, with mu held; nil for nobody

	signed   string     // what the credentials were when the store was asked; for run alone
	onDemand sync.Mutex // held by the player who has it asked

	mu       sync.Mutex // guards what follows
	position position
	trying   bool // on trial: an upload is under way
	remote   StoreState
	answers  bool      // it answers questions, whatever it makes of uploads
	byUpload bool      // it was an upload that found the store at fault, so Check may not see it
	failures int       // in a row, of the store
	strikes  int       // in a row, of uploads for reasons that may be the store's
	next     time.Time // when the store is asked again
	heard    time.Time // when the store last answered well
	changed  wait.Broadcast
}

type position int

const (
	down position = iota
	trial
	up
)

// StoreState is what people are told of the store.
type StoreState struct {
	State   codestory.RemoteState
	Message string
	Since   time.Time
}

// notAsked is the message until the store was asked for the first time.
const notAsked = "not asked yet"

const (
	askWhenIdle  = time.Minute
	askTimeout   = 30 * time.Second
	trialStrikes = 3 // uploads that fail in a row, each for its own reason, before the store is held to be at fault
	maxStrikes   = 5 // the same, once it was up
	deniedDelay  = time.Minute
	fullDelay    = time.Minute
	missingDelay = 15 * time.Second

	credentialsDelay = 2 * time.Second // between looks for new ones
)

// outageDelays spaces the questions to a store that does not answer: soon at first, and often enough to notice within
// a quarter of a minute that it is back.
var outageDelays = wait.Backoff{First: time.Second, Most: 15 * time.Second}

func newBreaker(store remote.Store, log *slog.Logger, waiting func() bool) *breaker {
	return &breaker{
		store: store, log: log, waiting: waiting,
		remote: StoreState{codestory.RemoteUnavailable, notAsked, time.Now()},
	}
}

// run asks the store: at once, again and again while it is down, and about once a minute while nothing else
// tells whether it answers.
func (b *breaker) run(ctx context.Context) {
	for ctx.Err() == nil {
		b.probe(ctx)
		b.rest(ctx)
	}
}

// rest returns when the store should be asked again, or ctx has ended. A store that denies is asked at once when the
// credentials were renewed.
func (b *breaker) rest(ctx context.Context) {
	for ctx.Err() == nil {
		changed := b.changed.Changed()
		b.mu.Lock()
		delay, denied := time.Until(b.next), b.remote.State == codestory.RemoteDenied
		b.mu.Unlock()
		if delay <= 0 || denied && b.credentials() != b.signed {
			return
		}
		if denied {
			delay = min(delay, credentialsDelay)
		}
		t := time.NewTimer(delay)
		select {
		case <-ctx.Done():
			t.Stop()
		case <-t.C:
		case <-changed:
			t.Stop()
		}
	}
}

// credentials are the store's, as a text that differs once they were renewed; "" for a store that has none.
func (b *breaker) credentials() string {
	if c, ok := b.store.(remote.Credentialed); ok {
		return c.CredentialsSeen()
	}
	return ""
}

// probeNow has the store asked at once, and forgets how often it failed.
func (b *breaker) probeNow() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failures, b.strikes, b.next = 0, 0, time.Now()
	b.changed.Announce()
}

// outage is how long to leave the store alone after it was found at fault.
func (b *breaker) outage(state codestory.RemoteState) time.Duration {
	switch state {
	case codestory.RemoteDenied:
		return deniedDelay
	case codestory.RemoteFull:
		return fullDelay
	case codestory.RemoteMissing:
		return missingDelay
	default:
		return outageDelays.After(b.failures)
	}
}

// probe asks the store once and lets a trial begin where it answers.
func (b *breaker) probe(ctx context.Context) {
	asking, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	b.signed = b.credentials()
	err := b.store.Check(asking)
	if ctx.Err() != nil {
		return
	}
	waiting := b.waiting()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answers = err == nil
	if err != nil {
		b.markDown(err, false)
		return
	}
	b.heard = time.Now()
	b.next = b.heard.Add(askWhenIdle)
	if b.position == down {
		b.move(trial)
	}
	if !b.byUpload || !waiting {
		b.markUp()
	}
}

// acquire waits until an upload may begin. The permit must be given back.
func (b *breaker) acquire(ctx context.Context) (*permit, error) {
	for {
		changed := b.changed.Changed()
		b.mu.Lock()
		p := b.permit()
		b.mu.Unlock()
		if p != nil {
			return p, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-changed:
		}
	}
}

func (b *breaker) permit() *permit {
	switch {
	case b.position == up:
		return &permit{breaker: b}
	case b.position == trial && !b.trying:
		b.trying = true
		return &permit{breaker: b, trial: true}
	default:
		return nil
	}
}

// permit is the right to begin one upload.
type permit struct {
	breaker *breaker
	trial   bool
}

// valid reports whether the upload may still begin, where some time has passed since pass.
func (p *permit) valid() bool {
	p.breaker.mu.Lock()
	defer p.breaker.mu.Unlock()
	return p.breaker.position == up || p.trial && p.breaker.position == trial
}

// release says that nothing was asked of the store.
func (p *permit) release() { p.end(func(*breaker) {}) }

// succeeded says that the store took an upload, or refused one for the file's own sake.
func (p *permit) succeeded() {
	p.end(func(b *breaker) {
		if b.position == down { // a slow success of an upload from before the fault proves nothing
			return
		}
		b.answers, b.strikes, b.heard = true, 0, time.Now()
		b.next = b.heard.Add(askWhenIdle)
		b.move(up)
		b.markUp()
	})
}

// failed says how an upload ended that did not get through.
func (p *permit) failed(err error) {
	p.end(func(b *breaker) {
		if e, ok := errors.AsType[*codestory.Error](err); ok && e.Class == codestory.ClassPause {
			b.markDown(err, true)
			return
		}
		b.strikes++
		if p.trial && b.strikes >= trialStrikes || b.strikes >= maxStrikes {
			b.markDown(fmt.Errorf("uploads fail: %w", err), true)
		}
	})
}

func (p *permit) end(outcome func(*breaker)) {
	b := p.breaker
	b.mu.Lock()
	defer b.mu.Unlock()
	outcome(b)
	if p.trial {
		b.trying = false
		b.changed.Announce()
	}
}

// markDown stops uploads, but for one trial now and then.
func (b *breaker) markDown(err error, byUpload bool) {
	state, class := codestory.RemoteUnavailable, codestory.ClassRetry
	if e, ok := errors.AsType[*codestory.Error](err); ok && e.Class == codestory.ClassPause {
		state, class = e.State, e.Class
	}
	if b.position != down || !byUpload { // many uploads that fail of one fault are one failure
		b.failures++
		b.next = time.Now().Add(b.outage(state))
	}
	b.byUpload = byUpload || b.byUpload && b.position == down
	if byUpload && state == codestory.RemoteUnavailable && class == codestory.ClassPause {
		b.answers = false // nobody is there
	}
	b.strikes = 0
	b.move(down)
	b.tell(state, codestory.Hint(err), err)
}

// markUp forgets all faults.
func (b *breaker) markUp() {
	b.failures, b.byUpload = 0, false
	b.tell(codestory.RemoteOK, "", nil)
}

// tell sets what people are told, and logs a change of it.
func (b *breaker) tell(state codestory.RemoteState, message string, err error) {
	changed := state != b.remote.State || b.remote.Message == notAsked
	if changed {
		b.remote.Since = time.Now()
		if err != nil {
			b.log.Warn("the store is "+string(state), "error", err)
		} else {
			b.log.Info("the store is " + string(state))
		}
	}
	changed = changed || message != b.remote.Message
	b.remote.State, b.remote.Message = state, message
	if changed && b.onChange != nil {
		b.onChange(b.remote)
	}
}

func (b *breaker) move(to position) {
	if b.position == to {
		return
	}
	b.position = to
	b.changed.Announce()
}

// storeState is what people are told of the store now.
func (b *breaker) storeState() StoreState {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.remote
}

// reads reports whether objects can be had from the store. One that takes no uploads may still give what it has.
func (b *breaker) reads() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.answers
}

const (
	fresh        = 2 * time.Second // an answer that old still says that the store is there
	freshTimeout = 2 * time.Second // of a question that a player waits for
)

// answersNow is reads, with the store asked where it has not been heard of for a moment: a link of a store that went
// away a minute ago would not play, and the file that is here would. A store that does not answer at once gets no links,
// and is asked with patience by run, which alone judges it.
func (b *breaker) answersNow(ctx context.Context) bool {
	if !b.stale() {
		return b.reads()
	}
	b.onDemand.Lock()
	defer b.onDemand.Unlock()
	if !b.stale() { // somebody else has asked meanwhile
		return b.reads()
	}
	asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), freshTimeout) // its answer is for all who wait
	defer cancel()
	err := b.store.Check(asking)
	b.mu.Lock()
	defer b.mu.Unlock()
	if err == nil {
		b.heard = time.Now()
		return true
	}
	b.answers, b.next = false, time.Now()
	b.changed.Announce()
	return false
}

// stale reports whether the store answered last, and that some time ago.
func (b *breaker) stale() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.answers && time.Since(b.heard) > fresh
}
