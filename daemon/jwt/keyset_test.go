package jwt

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/codestory/codestoryd/internal/problem"
)

// publisher is where keys are published, in memory.
type publisher struct {
	t     *testing.T
	mu    sync.Mutex
	set   []byte
	err   error
	asked int
	takes time.Duration
}

func (p *publisher) publish(ids ...string) {
	var set jose.JSONWebKeySet
	for _, id := range ids {
		public, _, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			p.t.Fatal(err)
		}
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: public, KeyID: id})
	}
	b, err := json.Marshal(set)
	if err != nil {
		p.t.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.set, p.err = b, nil
}

func (p *publisher) answer(set string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.set, p.err = []byte(set), nil
}

func (p *publisher) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = err
}

func (p *publisher) fetch(context.Context) ([]byte, error) {
	time.Sleep(p.takes)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked++
	return p.set, p.err
}

func (p *publisher) questions() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked
}

func newPublisher(t *testing.T) (*publisher, *keySet) {
	t.Helper()
	k, err := newKeySet("https://id.example", problem.NewSet(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	p := &publisher{t: t}
	k.fetch = p.fetch
	return p, k
}

func finds(k *keySet, id string) bool {
	found, err := k.find(context.Background(), id, jose.EdDSA)
	return err == nil && len(found) == 1
}

func TestKeysAreAskedForSeldom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, k := newPublisher(t)
		p.publish("a")
		for range 100 {
			if !finds(k, "a") || finds(k, "made up") {
				t.Fatal("the keys are others than those published")
			}
		}
		if n := p.questions(); n != 1 {
			t.Errorf("asked %d times, want once", n)
		}
		p.publish("a", "b") // a new key is known as soon as a token needs it
		time.Sleep(fetchInterval)
		if !finds(k, "b") {
			t.Error("the new key is not known")
		}
		p.publish("b") // one that was taken back counts for a while
		if !finds(k, "a") {
			t.Error("the old key is forgotten at once: it was asked again without need")
		}
		time.Sleep(refreshAfter)
		if finds(k, "a") {
			t.Error("the old key still counts")
		}
		if n := p.questions(); n != 3 {
			t.Errorf("asked %d times, want 3", n)
		}
	})
}

func TestKeysOutliveAServiceThatFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, k := newPublisher(t)
		p.fail(errors.New("no route"))
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { k.run(ctx) })
		synctest.Wait()
		if len(k.problems.List()) != 1 || finds(k, "a") {
			t.Errorf("before there are keys: %v", k.problems.List())
		}
		p.publish("a")
		time.Sleep(runInterval + time.Second)
		if len(k.problems.List()) != 0 || !finds(k, "a") {
			t.Errorf("with keys: %v", k.problems.List())
		}
		p.fail(errors.New("no route"))
		time.Sleep(24 * time.Hour)
		if len(k.problems.List()) != 1 || !finds(k, "a") {
			t.Errorf("a day later: %v", k.problems.List())
		}
		stop()
		running.Wait()
	})
}

// A service that publishes a set without keys has taken them back. What is no set says nothing about them.
func TestEmptiedSetEndsTheKeys(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, k := newPublisher(t)
		p.publish("a")
		if !finds(k, "a") {
			t.Fatal("no key")
		}
		for _, unreadable := range []string{"", "{}", "[]", "null", `{"keys":null}`, `{"keys":{}}`, `{"error":"try later"}`} {
			p.answer(unreadable)
			time.Sleep(refreshAfter)
			if !finds(k, "a") || len(k.problems.List()) != 1 {
				t.Errorf("after %q: the key is in force %t, problems %v", unreadable, finds(k, "a"), k.problems.List())
			}
		}
		for _, empty := range []string{`{"keys":[]}`, `{"keys":[{"kty":"oct","k":"c2VjcmV0","kid":"a"}]}`} {
			p.publish("a")
			time.Sleep(refreshAfter)
			if !finds(k, "a") || len(k.problems.List()) != 0 {
				t.Fatalf("published again: problems %v", k.problems.List())
			}
			p.answer(empty)
			time.Sleep(refreshAfter)
			if finds(k, "a") || len(k.problems.List()) != 1 {
				t.Errorf("after %q: the key is in force %t, problems %v", empty, finds(k, "a"), k.problems.List())
			}
		}
	})
}

// A service that is slow to answer holds up few tokens, and none whose key is known.
func TestSlowService(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, k := newPublisher(t)
		p.publish("a")
		if !finds(k, "a") {
			t.Fatal("no key")
		}
		time.Sleep(fetchInterval)
		p.takes = 5 * time.Second
		var waiting sync.WaitGroup
		for range 10 * maxWaiting {
			waiting.Go(func() { finds(k, "made up") })
		}
		synctest.Wait()
		began := time.Now()
		if !finds(k, "a") || finds(k, "made up") || time.Since(began) != 0 {
			t.Errorf("a known key and one token more took %s", time.Since(began))
		}
		waiting.Wait()
		if n := p.questions(); n != 2 {
			t.Errorf("asked %d times, want 2", n)
		}
	})
}

func TestKeysOfAFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "jwks.json")
	synctest.Test(t, func(t *testing.T) {
		p := &publisher{t: t}
		write := func() {
			t.Helper()
			if err := os.WriteFile(path, p.set, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		p.publish("a")
		write()
		k, err := newKeySet(path, problem.NewSet(slog.New(slog.DiscardHandler)))
		if err != nil {
			t.Fatal(err)
		}
		p.publish("b", "c")
		write()
		time.Sleep(time.Second)
		if finds(k, "a") || !finds(k, "b") {
			t.Error("the file is not read again")
		}
		p.set = []byte("{")
		write()
		time.Sleep(time.Second)
		if !finds(k, "b") || len(k.problems.List()) != 1 {
			t.Errorf("half a file: %v", k.problems.List())
		}
		p.publish("d")
		write()
		time.Sleep(time.Second)
		if !finds(k, "d") || len(k.problems.List()) != 0 {
			t.Errorf("the whole file: %v", k.problems.List())
		}
	})
}
