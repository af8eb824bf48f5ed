package jwt

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/internal/atomicfile"
)

const (
	// refreshAfter is how old keys of a URL get before it is asked again: so long does a key go on counting that was
	// taken back.
	refreshAfter = 10 * time.Minute
	// fetchInterval is the least time between two questions to a URL, so that tokens with made-up key ids cause no more.
	fetchInterval = 10 * time.Second
	// runInterval is the time between two looks when no tokens come.
	runInterval = time.Minute
	// maxWaiting bounds the requests that wait for a URL's answer at once.
	maxWaiting = 16
)

// keyring is the keys of a service, as fresh as need be. Keys that could not be read again go on counting, so that a
// service which does not answer locks nobody out.
type keyring struct {
	place   string // for people: of a URL without its query, which may hold a secret
	fetch   func(context.Context) ([]byte, error)
	changed func() bool // reports whether a file has to be read again; nil where the keys are at a URL
	log     *slog.Logger

	reading chan struct{} // holds a token while somebody reads
	waiting chan struct{} // holds a token for each who waits for that

	mu      sync.Mutex // guards what follows
	keys    []key
	read    time.Time // successfully
	tried   time.Time
	trouble *codestory.Problem // nil while all is well
}

func newKeyring(place string, log *slog.Logger) (*keyring, error) {
	k := &keyring{place: place, log: log, reading: make(chan struct{}, 1), waiting: make(chan struct{}, maxWaiting)}
	if strings.Contains(place, "://") {
		var err error
		k.fetch, k.place, err = newFetch(place)
		return k, err
	}
	path, err := filepath.Abs(place)
	if err != nil {
		return nil, err
	}
	file := atomicfile.Follow(time.Second, path)
	file.Changed()
	k.changed = file.Changed
	k.fetch = func(context.Context) ([]byte, error) { return os.ReadFile(path) }
	if k.keys, err = k.load(context.Background()); err != nil {
		return nil, err
	}
	k.read = time.Now()
	return k, nil
}

// find are the keys that a token may be signed with.
func (k *keyring) find(ctx context.Context, id string, algorithm jose.SignatureAlgorithm) ([]any, error) {
	k.refreshIfDue(ctx)
	if found := fitting(k.known(), id, algorithm); len(found) > 0 {
		return found, nil
	}
	if k.changed == nil { // the service may have a new key
		k.awaitRefresh(ctx)
	}
	if found := fitting(k.known(), id, algorithm); len(found) > 0 {
		return found, nil
	}
	return nil, fmt.Errorf("no key %.100q for %s is known", id, algorithm)
}

func (k *keyring) known() []key {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.keys
}

// due reports whether the keys should be read again, though those that are known do meanwhile.
func (k *keyring) due() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.changed != nil {
		return k.changed() || k.trouble != nil && time.Since(k.tried) >= time.Second
	}
	return time.Since(k.read) >= refreshAfter && time.Since(k.tried) >= fetchInterval
}

// refreshIfDue reads the keys where it is time to, unless somebody does.
func (k *keyring) refreshIfDue(ctx context.Context) {
	select {
	case k.reading <- struct{}{}:
		defer func() { <-k.reading }()
		if k.due() {
			_ = k.refresh(ctx) // noted
		}
	default:
	}
}

// run keeps the keys fresh until ctx ends, so that a token seldom has to wait for that, and what is wrong is known
// before one comes.
func (k *keyring) run(ctx context.Context) {
	tick := time.NewTicker(runInterval)
	defer tick.Stop()
	for {
		k.refreshIfDue(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// awaitRefresh reads the keys, or waits for whoever does, unless that was done a moment ago.
func (k *keyring) awaitRefresh(ctx context.Context) {
	select {
	case k.waiting <- struct{}{}:
		defer func() { <-k.waiting }()
	default:
		return
	}
	select {
	case k.reading <- struct{}{}:
		defer func() { <-k.reading }()
	case <-ctx.Done():
		return
	}
	k.mu.Lock()
	early := time.Since(k.tried) < fetchInterval
	k.mu.Unlock()
	if !early {
		_ = k.refresh(ctx) // noted
	}
}

// refresh reads the keys, and goes on when the request is gone that it is for: others wait for the answer.
func (k *keyring) refresh(ctx context.Context) error {
	k.mu.Lock()
	k.tried = time.Now()
	k.mu.Unlock()
	keys, err := k.load(context.WithoutCancel(ctx))
	k.mu.Lock()
	defer k.mu.Unlock()
	if err == nil {
		if k.trouble != nil {
			k.log.Info("the keys of JWTs are read again")
		}
		k.keys, k.read, k.trouble = keys, time.Now(), nil
		return nil
	}
	if k.trouble == nil {
		k.log.Warn("the keys of JWTs cannot be replaced", "err", err)
		k.trouble = &codestory.Problem{Code: "jwt_keys", Since: time.Now().Round(0)}
	}
	k.trouble.Message = err.Error()
	if errors.Is(err, errNoKeys) { // the service took all of them back
		k.keys, k.read = nil, time.Now()
	}
	return err
}

func (k *keyring) load(ctx context.Context) ([]key, error) {
	set, err := k.fetch(ctx)
	var keys []key
	if err == nil {
		keys, err = parseKeys(set)
	}
	if err != nil {
		return nil, fmt.Errorf("the keys of JWTs cannot be read from %s: %w", k.place, err)
	}
	return keys, nil
}

func (k *keyring) problems() []codestory.Problem {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.trouble == nil {
		return nil
	}
	return []codestory.Problem{*k.trouble}
}
