package jwt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/internal/atomicfile"
	"github.com/codestory/codestoryd/internal/problem"
)

const (
	// refreshAfter is how old keys of a URL get before it is asked again: so long does a key count that was taken back.
	refreshAfter = 10 * time.Minute
	// fetchInterval is the least time between two questions to a URL, so that tokens with made-up key ids cause no more.
	fetchInterval = 10 * time.Second
	fetchTimeout  = 5 * time.Second
	runInterval   = time.Minute // between two looks when no tokens come
	maxWaiting    = 16          // requests that wait for a URL's answer at once
	maxSet        = 1 << 20     // bytes
)

// The codes of problems. Keys that cannot be read again stay in force, so that a service which does not answer locks
// nobody out; a set without keys ends them.
const (
	problemUnread = "jwt_keys"
	problemNoKeys = "jwt_no_keys"
)

// keySet is the keys of a service, as fresh as need be.
type keySet struct {
	place    string // for people: of a URL without its query, which may hold a secret
	problems *problem.Set
	file     *atomicfile.Followed[[]key] // nil if the keys are at a URL
	fetch    func(context.Context) ([]byte, error)

	reading chan struct{} // holds a token while somebody reads
	waiting chan struct{} // holds a token for each who waits for that

	mu    sync.Mutex // guards what follows, for a URL
	keys  []key
	read  time.Time // successfully
	tried time.Time
}

func newKeySet(place string, problems *problem.Set) (*keySet, error) {
	k := &keySet{place: place, problems: problems, reading: make(chan struct{}, 1), waiting: make(chan struct{}, maxWaiting)}
	var err error
	if strings.Contains(place, "://") {
		k.fetch, k.place, err = newFetch(place)
		return k, err
	}
	path, err := filepath.Abs(place)
	if err != nil {
		return nil, err
	}
	options := atomicfile.FollowOptions{Paths: []string{path}, Every: time.Second, Problems: problems, Code: problemUnread}
	k.file, err = atomicfile.Open(options, func([]key) ([]key, error) { return k.parse(os.ReadFile(path)) })
	if err == nil && len(k.file.Now()) == 0 {
		err = k.noKeys()
	}
	return k, err
}

// VerifySignature implements oidc.KeySet.
func (k *keySet) VerifySignature(ctx context.Context, token string) (payload []byte, err error) {
	signed, err := jose.ParseSignedCompact(token, algorithms)
	if err != nil {
		return nil, err
	}
	if len(signed.Signatures) != 1 {
		return nil, errors.New("expected exactly one signature")
	}
	header := signed.Signatures[0].Header
	candidates, err := k.find(ctx, header.KeyID, jose.SignatureAlgorithm(header.Algorithm))
	for _, public := range candidates {
		if payload, err = signed.Verify(public); err == nil {
			return payload, nil
		}
	}
	return nil, err
}

// find returns the keys that a token may be signed with; an error if there are none.
func (k *keySet) find(ctx context.Context, id string, algorithm jose.SignatureAlgorithm) ([]any, error) {
	k.refresh(ctx, false)
	found := fitting(k.known(), id, algorithm)
	if len(found) == 0 && k.file == nil { // the service may have a new key
		k.refresh(ctx, true)
		found = fitting(k.known(), id, algorithm)
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("no key %.100q for %s is known", id, algorithm)
	}
	return found, nil
}

func (k *keySet) known() []key {
	if k.file != nil {
		return k.file.Now()
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.keys
}

// refresh reads the keys if they are due, unless somebody does. If a key is missing it waits for that, or reads keys that
// are not due, but for those read a moment ago.
func (k *keySet) refresh(ctx context.Context, missing bool) {
	if k.file != nil {
		k.file.Look()
		return
	}
	if missing {
		select {
		case k.waiting <- struct{}{}:
			defer func() { <-k.waiting }()
		default:
			return
		}
		select {
		case k.reading <- struct{}{}:
		case <-ctx.Done():
			return
		}
	} else {
		select {
		case k.reading <- struct{}{}:
		default:
			return
		}
	}
	defer func() { <-k.reading }()
	k.mu.Lock()
	due := time.Since(k.tried) >= fetchInterval && (missing || time.Since(k.read) >= refreshAfter)
	if due {
		k.tried = time.Now()
	}
	k.mu.Unlock()
	if !due {
		return
	}
	keys, err := k.parse(k.fetch(context.WithoutCancel(ctx))) // others wait for the answer, too
	if err != nil {
		k.problems.Report(codestory.Problem{Code: problemUnread, Message: err.Error()})
		return
	}
	k.problems.Clear(problemUnread)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keys, k.read = keys, time.Now()
}

// run keeps the keys fresh until ctx ends, so that a token seldom has to wait for that, and what is wrong is known
// before one comes.
func (k *keySet) run(ctx context.Context) {
	tick := time.NewTicker(runInterval)
	defer tick.Stop()
	for {
		k.refresh(ctx, false)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// parse returns the keys of a set that was read, and reports one that has none.
func (k *keySet) parse(set []byte, err error) ([]key, error) {
	var keys []key
	if err == nil {
		keys, err = parseKeys(set)
	}
	if err != nil {
		return nil, fmt.Errorf("the keys of JWTs cannot be read from %s: %w", k.place, err)
	}
	if len(keys) > 0 {
		k.problems.Clear(problemNoKeys)
	} else {
		k.problems.Report(codestory.Problem{Code: problemNoKeys, Message: k.noKeys().Error()})
	}
	return keys, nil
}

func (k *keySet) noKeys() error {
	return fmt.Errorf("%s has no public key that signs with one of %s: until it has, no JWT lets anybody in", k.place, algorithms)
}

// newFetch returns what gets a JWK set from a URL: https, or http on this machine, so that nobody on the network path can
// replace the keys. shown is the URL for people.
func newFetch(place string) (fetch func(context.Context) ([]byte, error), shown string, err error) {
	u, err := url.Parse(place)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.Fragment != "":
		return nil, "", errors.New("use https:// and an address without user or fragment, or a file")
	case u.Scheme == "http" && isLoopback(u.Hostname()):
	case u.Scheme != "https":
		return nil, "", errors.New("use https://: with http:// anybody on the network path could replace the keys")
	}
	client := &http.Client{
		Timeout: fetchTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return errors.New("it redirects: set the address that it redirects to")
		},
	}
	return func(ctx context.Context) ([]byte, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, place, nil)
		if err != nil {
			return nil, err
		}
		req.Header.Set("Accept", "application/jwk-set+json, application/json")
		resp, err := client.Do(req)
		if failed, ok := errors.AsType[*url.Error](err); ok {
			return nil, failed.Err // without the address, which is named anyway
		}
		if err != nil {
			return nil, err
		}
		defer func() { _ = resp.Body.Close() }()
		if resp.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("it answers %s", resp.Status)
		}
		set, err := io.ReadAll(io.LimitReader(resp.Body, maxSet+1))
		if len(set) > maxSet {
			return nil, fmt.Errorf("it has more than %d bytes", maxSet)
		}
		return set, err
	}, u.Scheme + "://" + u.Host + u.EscapedPath(), nil
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}
