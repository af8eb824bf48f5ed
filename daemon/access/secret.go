package access

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/internal/atomicfile"
)

const (
	secretBytes = 32 // of a token or key that is made here: 256 bits
	minSecret   = 32 // characters of one that is read from a file
)

// secret is a secret in a file of its own. Whoever wants another one removes the file, or writes their own into it,
// while the daemon runs: the next look puts it in force.
type secret struct {
	path string
	file *atomicfile.Follower

	mu      sync.RWMutex // guards what follows
	text    string
	shared  *codestory.Problem // it could be read by others; nil where it could not
	trouble *codestory.Problem // with the file as it is now; nil while all is well
}

// openSecret reads the secret, or makes one.
func openSecret(path string) (*secret, error) {
	s := &secret{path: path, file: atomicfile.Follow(0, path)}
	s.file.Changed()
	return s, s.read()
}

// now is the secret in force.
func (s *secret) now() string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.text
}

// look reads the file again where it or the rights to it have changed, and reports whether another secret is in force. One that cannot be
// read leaves the old one in force.
func (s *secret) look() (replaced bool, err error) {
	if !s.file.Changed() && !s.failing() {
		return false, nil
	}
	before := s.now()
	err = s.read()
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err == nil:
		s.trouble = nil
	case s.trouble != nil:
		s.trouble.Message, err = err.Error(), nil
	default:
		s.trouble = &codestory.Problem{Code: "secret_unreadable", Message: err.Error(), Since: time.Now().Round(0)}
	}
	return s.text != before, err
}

// failing reports whether the file could not be read. What mends that, such as other rights, may leave its times alone.
func (s *secret) failing() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.trouble != nil
}

// read reads the file, or makes it, and takes away others' rights to it.
func (s *secret) read() error {
	text, err := readSecret(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		text = newSecret()
		err = atomicfile.Write(s.path, []byte(text+"\n"), 0o600)
	}
	if err != nil {
		return err
	}
	wasOpen, err := closeToOthers(s.path)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if text != s.text {
		s.shared = nil
	}
	if wasOpen {
		s.shared = &codestory.Problem{
			Code: "secret_was_readable", Since: time.Now().Round(0),
			Message: "other users of this machine could read " + s.path + " until now: remove the file, and the daemon makes another secret",
		}
	}
	s.text = text
	return nil
}

// readable is the problem that others could read the secret in force; nil where they could not.
func (s *secret) readable() *codestory.Problem {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.shared
}

func (s *secret) problems() (list []codestory.Problem) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, p := range []*codestory.Problem{s.shared, s.trouble} {
		if p != nil {
			list = append(list, *p)
		}
	}
	return list
}

// closeToOthers makes a file its owner's alone, and reports whether others could read it. Windows has no such rights:
// what is in a user's folder there is the user's.
func closeToOthers(path string) (wasOpen bool, err error) {
	if runtime.GOOS == "windows" {
		return false, nil
	}
	info, err := os.Stat(path)
	if err == nil && info.Mode().Perm() != 0o600 {
		err = os.Chmod(path, 0o600)
	}
	if err != nil {
		return false, fmt.Errorf("taking away others' rights to a secret: %w", err)
	}
	return info.Mode().Perm()&0o044 != 0, nil
}

func readSecret(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("reading a secret: %w", err)
	}
	text := strings.TrimSpace(string(b))
	if len(text) < minSecret {
		return "", fmt.Errorf("%s holds no secret of at least %d characters: remove the file, and the daemon makes a new one", path, minSecret)
	}
	return text, nil
}

func newSecret() string {
	b := make([]byte, secretBytes)
	_, _ = rand.Read(b) // never fails, see crypto/rand
	return base64.RawURLEncoding.EncodeToString(b)
}
