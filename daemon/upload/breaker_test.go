package upload

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/codestory/codestoryd"
)

var (
	errDown   = codestory.Pause(codestory.RemoteUnavailable, "no connection", errors.New("refused"))
	errDenied = codestory.Pause(codestory.RemoteDenied, "access denied", errors.New("403"))
)

func TestStoreIsUnavailableUntilItWasAsked(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newEnv(t, &scripted{}, Options{})
		got := w.breaker.storeState()
		if got.State != codestory.RemoteUnavailable || got.Message != "not asked yet" {
			t.Errorf("before it was asked the store is %s, %q", got.State, got.Message)
		}
		w.upload(time.Second)
		if got := w.breaker.storeState(); got.State != codestory.RemoteOK || got.Message != "" {
			t.Errorf("after it answered the store is %s, %q", got.State, got.Message)
		}
	})
}

func TestIdleStoreIsAskedAboutOnceAMinute(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := &scripted{}
		w := newEnv(t, store, Options{})
		w.upload(time.Hour)
		if n := store.count("check"); n < 58 || n > 62 {
			t.Errorf("an idle hour had %d questions to the store", n)
		}
	})
}

// A store that comes back is used within a minute, and while it is away it is asked, never uploaded to.
func TestOutageEnds(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		up := time.Now().Add(3 * time.Hour)
		store := &scripted{check: func() error {
			if time.Now().Before(up) {
				return errDown
			}
			return nil
		}}
		w := newEnv(t, store, Options{})
		paths := chapters(w, 20)
		w.upload(3*time.Hour - time.Second)
		if n := len(store.puts()); n != 0 {
			t.Errorf("%d uploads were tried of a store that does not answer", n)
		}
		if n := store.count("check"); n > 3*60*20 {
			t.Errorf("the store was asked %d times in 3 hours", n)
		}
		w.upload(time.Minute)
		for _, path := range paths {
			if got := w.state(path); got != codestory.Synced {
				t.Errorf("a minute after the store came back %s is %s", path, got)
			}
		}
	})
}

// However many files wait, a store that denies them hears of little, no attempt is spent, and nobody has to restart.
func TestDeniedUploadsMakeNoStorm(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		allowed := time.Now().Add(30 * time.Minute)
		store := &scripted{put: func(context.Context, string) error {
			if time.Now().Before(allowed) {
				return errDenied
			}
			return nil
		}}
		w := newEnv(t, store, Options{})
		paths := chapters(w, 100)
		w.upload(29 * time.Minute)
		if n := len(store.Calls("")); n >= 29*20 {
			t.Errorf("%d requests in 29 minutes", n)
		}
		if got := w.breaker.storeState().State; got != codestory.RemoteDenied {
			t.Errorf("the store is %s while it denies uploads", got)
		}
		for _, path := range paths {
			f, err := w.queue.File(path)
			if err != nil || f.Attempt != 0 || f.State != codestory.Queued {
				t.Fatalf("%s: state %s, %d attempts spent, %v", path, f.State, f.Attempt, err)
			}
		}
		w.upload(5 * time.Minute)
		for _, path := range paths {
			if got := w.state(path); got != codestory.Synced {
				t.Errorf("%s is %s after uploads were allowed", path, got)
			}
		}
	})
}

func TestDeniedIsToldAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := &scripted{check: func() error { return errDenied }}
		w := newEnv(t, store, Options{})
		chapters(w, 50)
		w.upload(10 * time.Second)
		if got := w.breaker.storeState(); got.State != codestory.RemoteDenied || got.Message != "access denied" {
			t.Errorf("after 10 s the store is %s, %q", got.State, got.Message)
		}
		if len(store.puts()) != 0 || store.count("check") != 1 {
			t.Errorf("calls: %v", store.Calls(""))
		}
	})
}

// Uploads that fail one after another, each for a reason of its own, are the store's fault after all.
func TestManyFailuresAreTheStores(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it takes seconds")
	}
	inBubble(t, func(t *testing.T) {
		store := &scripted{put: func(context.Context, string) error { return errors.New("500 internal error") }}
		w := newEnv(t, store, Options{})
		chapters(w, 500)
		w.upload(time.Minute)
		// Three after each question. How many questions are asked is up to the jitter: about twelve.
		if n, asked := len(store.puts()), store.count("check"); n > trialStrikes*asked || asked > 20 {
			t.Errorf("%d uploads and %d questions in a minute of a store that fails them all", n, asked)
		}
		if got := w.breaker.storeState().State; got != codestory.RemoteUnavailable {
			t.Errorf("the store is %s", got)
		}
	})
}

func TestOneUploadAtATimeOnTrial(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		release := make(chan struct{})
		store := &scripted{put: func(context.Context, string) error { <-release; return nil }}
		w := newEnv(t, store, Options{Concurrency: 8})
		chapters(w, 20)
		soft, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- w.Run(soft, t.Context()) }()
		synctest.Wait()
		if n := len(store.puts()); n != 1 {
			t.Errorf("%d uploads at once before one got through", n)
		}
		release <- struct{}{}
		synctest.Wait()
		if n := len(store.puts()); n != 1+8 {
			t.Errorf("%d uploads after the first got through", n)
		}
		close(release)
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// renewed is a store whose credentials have a number.
type renewed struct {
	*scripted
	number atomic.Int32
}

func (r *renewed) CredentialsSeen() string { return fmt.Sprint(r.number.Load()) }

// New credentials are tried at once, and only while the store denies.
func TestNewCredentialsAreTriedAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := &renewed{scripted: &scripted{}}
		store.Before = store.script
		store.check = func() error {
			if store.number.Load() < 3 {
				return errDenied
			}
			return nil
		}
		g := newBreaker(store, slog.New(slog.DiscardHandler), func() bool { return true })
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { g.run(ctx); close(ended) }()
		for i := range int32(3) {
			time.Sleep(70 * time.Second)
			before := store.count("check")
			store.number.Store(i + 1)
			time.Sleep(credentialsDelay + time.Millisecond)
			if n := store.count("check") - before; n != 1 {
				t.Errorf("%d questions after the credentials were renewed", n)
			}
		}
		if got := g.storeState(); got.State != codestory.RemoteOK {
			t.Errorf("the store is %s", got.State)
		}
		if n := store.count("check"); n > 7 {
			t.Errorf("%d questions in four minutes", n)
		}
		before := store.count("check")
		store.number.Store(9)
		time.Sleep(10 * time.Second)
		if n := store.count("check") - before; n != 0 {
			t.Errorf("%d questions about new credentials to a store that is well", n)
		}
		stop()
		<-ended
	})
}

// What goes wrong for a moment is over in a moment; what goes on is tried less and less often.
func TestThreeQuickAttempts(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var mu sync.Mutex // guards failed
		failed := map[string]int{}
		store := &scripted{}
		store.put = func(_ context.Context, key string) error {
			mu.Lock()
			defer mu.Unlock()
			if failed[key]++; failed[key] < quickAttempts {
				return errors.New("connection reset")
			}
			return nil
		}
		w := newEnv(t, store, Options{})
		w.write(codestory.MetadataPath(kilo), "{}")
		w.upload(time.Second)
		if got := w.state(codestory.MetadataPath(kilo)); got != codestory.Synced {
			t.Errorf("after a second a file whose third attempt succeeds is %s", got)
		}
		paths := chapters(w, 10)
		w.upload(time.Minute)
		for _, path := range paths {
			if got := w.state(path); got != codestory.Synced {
				t.Errorf("%s is %s", path, got)
			}
		}
		if n := len(store.puts()); n != 33 {
			t.Errorf("%d attempts at 11 files", n)
		}
	})
}

func TestDelaysOfAFile(t *testing.T) {
	t.Parallel()
	quick := itemDelay(1) + itemDelay(2)
	if quick > time.Second || quick == 0 {
		t.Errorf("three attempts take %v", quick)
	}
	for failures, most := range map[int]time.Duration{3: 2 * time.Second, 4: 4 * time.Second, 20: 10 * time.Minute, 1000: 10 * time.Minute} {
		if d := itemDelay(failures); d < most/10 || d > most {
			t.Errorf("after %d failures: %v, want %v at most and a tenth of it at least", failures, d, most)
		}
	}
}
