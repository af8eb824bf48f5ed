package s3

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/minio/minio-go/v7/pkg/credentials"
)

// keyring holds what requests are signed with, and gets it anew before it ends, when a file that it came from has
// changed, and when the server will not take it any more. It is a credentials.Provider.
//
// What is at hand stays in use while it holds, should getting it anew fail: a file may be in the middle of being
// written, and a role's server away for a minute.
type keyring struct {
	chain *chain                   // nil where the keys were given and stay what they are
	log   *slog.Logger             // not nil with a chain
	files atomic.Pointer[[]string] // that the credentials come from

	mu     sync.Mutex        // held while they are got
	value  credentials.Value // the last that was had; the zero value before
	seen   string            // what the files were like then
	renew  time.Time         // when to get it anew; zero for never
	failed error             // of the last attempt to
}

const (
	// retrieveTimeout bounds one attempt to get credentials: a server may be asked, or a program run, for them. All
	// requests wait for it, whatever their contexts, and so does the end of the daemon.
	retrieveTimeout = 15 * time.Second
	// failedPause is how long a failure stands for all who ask, and failedAgain how long the keys at hand are used
	// before it is tried again.
	failedPause = 2 * time.Second
	failedAgain = time.Minute
)

// IsExpired implements credentials.Provider.
func (k *keyring) IsExpired() bool {
	if k.chain == nil {
		return false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.expired()
}

func (k *keyring) expired() bool {
	return !k.renew.IsZero() && !time.Now().Before(k.renew) || k.seen != stamps(*k.files.Load())
}

// Retrieve implements credentials.Provider.
func (k *keyring) Retrieve() (credentials.Value, error) { return k.RetrieveWithCredContext(nil) }

// RetrieveWithCredContext implements credentials.Provider. It is called by one at a time, and where IsExpired.
func (k *keyring) RetrieveWithCredContext(cc *credentials.CredContext) (credentials.Value, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.chain == nil {
		return k.value, nil
	}
	if k.failed != nil && !k.expired() {
		return k.atHand()
	}
	ctx := context.Background()
	if cc != nil && cc.Context != nil {
		ctx = cc.Context
	}
	ctx, cancel := context.WithTimeout(ctx, retrieveTimeout)
	defer cancel()
	known := *k.files.Load()
	k.seen = stamps(known) // before they are read: what changes meanwhile is read again
	value, files, err := k.chain.retrieve(ctx)
	if files != nil && !slices.Equal(files, known) {
		k.files.Store(&files)
		k.seen = stamps(files)
	}
	now := time.Now()
	if err != nil {
		k.failed, k.renew = &credentialsError{err}, now.Add(failedPause)
		if k.usable(now) {
			k.renew = now.Add(failedAgain)
			k.log.Warn("the credentials could not be read anew; those at hand stay in use", "error", err)
		}
		return k.atHand()
	}
	k.value, k.failed, k.renew = value, nil, time.Time{}
	if !value.Expiration.IsZero() {
		k.renew = now.Add(value.Expiration.Sub(now) * 4 / 5)
	}
	return k.value, nil
}

func (k *keyring) usable(now time.Time) bool {
	return k.value.AccessKeyID != "" && (k.value.Expiration.IsZero() || now.Before(k.value.Expiration))
}

// atHand is what there is after a failure.
func (k *keyring) atHand() (credentials.Value, error) {
	if k.usable(time.Now()) {
		return k.value, nil
	}
	return credentials.Value{}, k.failed
}

// fingerprint differs once the files that the credentials come from have.
func (k *keyring) fingerprint() string {
	if k.chain == nil {
		return ""
	}
	return stamps(*k.files.Load())
}

// retrieve reads the files, which it returns too, and asks whom they name.
func (c *chain) retrieve(ctx context.Context) (v credentials.Value, files []string, err error) {
	cfg, files, err := c.load(ctx)
	if err != nil {
		return v, files, err
	}
	value, err := cfg.Credentials.Retrieve(ctx)
	if err != nil {
		return v, files, err
	}
	v = credentials.Value{
		AccessKeyID: value.AccessKeyID, SecretAccessKey: value.SecretAccessKey, SessionToken: value.SessionToken,
		SignerType: credentials.SignatureV4,
	}
	if value.CanExpire {
		v.Expiration = value.Expires
	}
	return v, files, nil
}

// stamps tells two states of the files apart without reading them.
func stamps(files []string) string {
	var b strings.Builder
	for _, name := range files {
		if name == "" {
			continue
		}
		info, err := os.Stat(name)
		if err != nil {
			fmt.Fprintf(&b, "%s: none\n", name)
			continue
		}
		fmt.Fprintf(&b, "%s: %d %d\n", name, info.Size(), info.ModTime().UnixNano())
	}
	return b.String()
}

// credentialsError: there are no credentials to sign a request with, so none was sent.
type credentialsError struct{ err error }

func (e *credentialsError) Error() string { return "getting the credentials: " + e.err.Error() }
func (e *credentialsError) Unwrap() error { return e.err }

// oneLine is err's text without its line breaks.
func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
