package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/remote"
)

// gate is the one breaker of the destination. It starts shut, and goes round:
//
//	shut ── the store answers Check ──▶ trial ── an upload gets through ──▶ open
//	  ▲                                   │                                  │
//	  └── the store is at fault ──────────┴──────────────────────────────────┘
//
// Shut, no upload is begun, and the store is asked again after a delay. On trial, one upload at a time is. So however
// many files wait, a store that refuses them hears of two requests in each delay: a Check and one upload; and one at
// which they fail for no reason that is its own, of three uploads.
type gate struct {
	store   remote.Store
	log     *slog.Logger
	waiting func() bool   // whether there is anything to upload
	told    func(verdict) // of each that is new, with mu held; nil for nobody

	signed   string     // what the credentials were when the store was asked; for run alone
	onDemand sync.Mutex // held by the player who has it asked

	mu       sync.Mutex // guards what follows
	position position
	trying   bool // on trial: an upload is under way
	remote   verdict
	answers  bool      // it answers questions, whatever it makes of uploads
	byUpload bool      // it was an upload that found the store at fault, so Check may not see it
	failures int       // in a row, of the store
	strikes  int       // in a row, of uploads for reasons that may be the store's
	next     time.Time // when the store is asked again
	heard    time.Time // when the store last answered well
	changed  chan struct{}
}

type position int

const (
	shut position = iota
	trial
	open
)

// verdict is what people are told of the store.
type verdict struct {
	state   codestory.RemoteState
	message string
	since   time.Time
}

// notAsked is the message until the store was asked for the first time.
const notAsked = "not asked yet"

const (
	askWhenIdle  = time.Minute
	askTimeout   = 30 * time.Second
	trialStrikes = 3 // uploads that fail in a row, each for its own reason, before the store is held to be at fault
	maxStrikes   = 5 // the same, once the gate was open
	deniedDelay  = time.Minute
	fullDelay    = time.Minute
	missingDelay = 15 * time.Second

	credentialsDelay = 2 * time.Second // between looks for new ones
)

// outageDelays spaces the questions to a store that does not answer: soon at first, and often enough to notice within
// a quarter of a minute that it is back.
var outageDelays = backoff{first: time.Second, most: 15 * time.Second}

func newGate(store remote.Store, log *slog.Logger, waiting func() bool) *gate {
	return &gate{
		store: store, log: log, waiting: waiting,
		remote:  verdict{codestory.RemoteUnavailable, notAsked, time.Now()},
		changed: make(chan struct{}),
	}
}

// run asks the store: at once, again and again while the gate is shut, and about once a minute while nothing else
// tells whether it answers.
func (g *gate) run(ctx context.Context) {
	for ctx.Err() == nil {
		g.ask(ctx)
		g.rest(ctx)
	}
}

// rest returns when the store should be asked again, or ctx has ended. A store that denies is asked at once when the
// credentials were renewed.
func (g *gate) rest(ctx context.Context) {
	for ctx.Err() == nil {
		g.mu.Lock()
		delay, changed, denied := time.Until(g.next), g.changed, g.remote.state == codestory.RemoteDenied
		g.mu.Unlock()
		if delay <= 0 || denied && g.credentials() != g.signed {
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
func (g *gate) credentials() string {
	if c, ok := g.store.(remote.Credentialed); ok {
		return c.CredentialsSeen()
	}
	return ""
}

// hurry has the store asked at once, and forgets how often it failed.
func (g *gate) hurry() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.failures, g.strikes, g.next = 0, 0, time.Now()
	g.announce()
}

// outage is how long to leave the store alone after it was found at fault.
func (g *gate) outage(state codestory.RemoteState) time.Duration {
	switch state {
	case codestory.RemoteDenied:
		return deniedDelay
	case codestory.RemoteFull:
		return fullDelay
	case codestory.RemoteMissing:
		return missingDelay
	default:
		return outageDelays.after(g.failures)
	}
}

// ask asks the store once and lets a trial begin where it answers.
func (g *gate) ask(ctx context.Context) {
	asking, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	g.signed = g.credentials()
	err := g.store.Check(asking)
	if ctx.Err() != nil {
		return
	}
	waiting := g.waiting()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.answers = err == nil
	if err != nil {
		g.fault(err, false)
		return
	}
	g.heard = time.Now()
	g.next = g.heard.Add(askWhenIdle)
	if g.position == shut {
		g.move(trial)
	}
	if !g.byUpload || !waiting {
		g.well()
	}
}

// pass waits until an upload may begin. The permit must be given back.
func (g *gate) pass(ctx context.Context) (*permit, error) {
	for {
		g.mu.Lock()
		p, changed := g.permit(), g.changed
		g.mu.Unlock()
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

func (g *gate) permit() *permit {
	switch {
	case g.position == open:
		return &permit{gate: g}
	case g.position == trial && !g.trying:
		g.trying = true
		return &permit{gate: g, trial: true}
	default:
		return nil
	}
}

// permit is the right to begin one upload.
type permit struct {
	gate  *gate
	trial bool
}

// valid reports whether the upload may still begin, where some time has passed since pass.
func (p *permit) valid() bool {
	p.gate.mu.Lock()
	defer p.gate.mu.Unlock()
	return p.gate.position == open || p.trial && p.gate.position == trial
}

// giveBack says that nothing was asked of the store.
func (p *permit) giveBack() { p.end(func(*gate) {}) }

// succeeded says that the store took an upload, or refused one for the file's own sake.
func (p *permit) succeeded() {
	p.end(func(g *gate) {
		if g.position == shut { // a slow success of an upload from before the fault proves nothing
			return
		}
		g.answers, g.strikes, g.heard = true, 0, time.Now()
		g.next = g.heard.Add(askWhenIdle)
		g.move(open)
		g.well()
	})
}

// failed says how an upload ended that did not get through.
func (p *permit) failed(err error) {
	p.end(func(g *gate) {
		if e, ok := errors.AsType[*codestory.Error](err); ok && e.Class == codestory.ClassPause {
			g.fault(err, true)
			return
		}
		g.strikes++
		if p.trial && g.strikes >= trialStrikes || g.strikes >= maxStrikes {
			g.fault(fmt.Errorf("uploads fail: %w", err), true)
		}
	})
}

func (p *permit) end(outcome func(*gate)) {
	g := p.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	outcome(g)
	if p.trial {
		g.trying = false
		g.announce()
	}
}

// fault shuts the gate.
func (g *gate) fault(err error, byUpload bool) {
	state, class := codestory.RemoteUnavailable, codestory.ClassRetry
	if e, ok := errors.AsType[*codestory.Error](err); ok && e.Class == codestory.ClassPause {
		state, class = e.State, e.Class
	}
	if g.position != shut || !byUpload { // many uploads that fail of one fault are one failure
		g.failures++
		g.next = time.Now().Add(g.outage(state))
	}
	g.byUpload = byUpload || g.byUpload && g.position == shut
	if byUpload && state == codestory.RemoteUnavailable && class == codestory.ClassPause {
		g.answers = false // nobody is there
	}
	g.strikes = 0
	g.move(shut)
	g.tell(state, codestory.Hint(err), err)
}

// well forgets all faults.
func (g *gate) well() {
	g.failures, g.byUpload = 0, false
	g.tell(codestory.RemoteOK, "", nil)
}

// tell sets what people are told, and logs a change of it.
func (g *gate) tell(state codestory.RemoteState, message string, err error) {
	changed := state != g.remote.state || g.remote.message == notAsked
	if changed {
		g.remote.since = time.Now()
		if err != nil {
			g.log.Warn("the store is "+string(state), "error", err)
		} else {
			g.log.Info("the store is " + string(state))
		}
	}
	changed = changed || message != g.remote.message
	g.remote.state, g.remote.message = state, message
	if changed && g.told != nil {
		g.told(g.remote)
	}
}

func (g *gate) move(to position) {
	if g.position == to {
		return
	}
	g.position = to
	g.announce()
}

func (g *gate) announce() {
	close(g.changed)
	g.changed = make(chan struct{})
}

// verdict is what people are told of the store now.
func (g *gate) verdict() verdict {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.remote
}

// reads reports whether objects can be had from the store. One that takes no uploads may still give what it has.
func (g *gate) reads() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.answers
}

const (
	fresh        = 2 * time.Second // an answer that old still says that the store is there
	freshTimeout = 2 * time.Second // of a question that a player waits for
)

// answersNow is reads, with the store asked where it has not been heard of for a moment: a link of a store that went
// away a minute ago would not play, and the file that is here would. A store that does not answer at once gets no links,
// and is asked with patience by run, which alone judges it.
func (g *gate) answersNow(ctx context.Context) bool {
	if !g.stale() {
		return g.reads()
	}
	g.onDemand.Lock()
	defer g.onDemand.Unlock()
	if !g.stale() { // somebody else has asked meanwhile
		return g.reads()
	}
	asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), freshTimeout) // its answer is for all who wait
	defer cancel()
	err := g.store.Check(asking)
	g.mu.Lock()
	defer g.mu.Unlock()
	if err == nil {
		g.heard = time.Now()
		return true
	}
	g.answers, g.next = false, time.Now()
	g.announce()
	return false
}

// stale reports whether the store answered last, and that some time ago.
func (g *gate) stale() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.answers && time.Since(g.heard) > fresh
}
