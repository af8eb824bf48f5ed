package access

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/codestory/codestoryd/internal/atomicfile"
)

const (
	secretBytes   = 32      // of a secret that is made here: 256 bits
	minSecret     = 32      // characters of one that is read from a file
	maxSecretFile = 4 << 10 // bytes
)

// secrets are those that have a file of their own.
type secrets struct {
	owner, links secret
	linkKey      []byte // derived from links, for local links
}

type secret struct {
	text        string
	wasReadable bool // by other users, while this was its text
}

// readSecrets reads the files, makes those that are absent, and reports those that others could read.
func (a *Access) readSecrets(old secrets) (secrets, error) {
	var read secrets
	var err error
	if read.owner, err = a.readOrMake(ownerFile, old.owner); err != nil {
		return old, err
	}
	if read.links, err = a.readOrMake(linkFile, old.links); err != nil {
		return old, err
	}
	read.linkKey = derive(read.links.text, "link")
	var readable []string
	for _, file := range []struct {
		secret
		name string
	}{{read.owner, ownerFile}, {read.links, linkFile}} {
		if file.wasReadable {
			readable = append(readable, filepath.Join(a.dir, file.name))
		}
	}
	report(a.problems, "secret_was_readable", readable, "other users of this machine could read "+strings.Join(readable, " and ")+
		" until now: remove it, and the daemon makes another")
	return read, nil
}

// readOrMake reads the secret of a file, or makes one, and takes away others' rights to it.
func (a *Access) readOrMake(name string, old secret) (secret, error) {
	path := filepath.Join(a.dir, name)
	text, err := readSecret(path)
	if errors.Is(err, fs.ErrNotExist) {
		text = newSecret()
		err = atomicfile.Write(path, []byte(text+"\n"), 0o600)
	}
	if err != nil {
		return old, err
	}
	wasOpen, err := closeToOthers(path)
	return secret{text, wasOpen || old.wasReadable && old.text == text}, err
}

func readSecret(path string) (string, error) {
	b, err := atomicfile.Read(path, maxSecretFile)
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

// derive makes a key for one purpose out of a secret, so that one key tells nothing about another.
func derive(secret, purpose string) []byte {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte("codestoryd 1 " + purpose))
	return mac.Sum(nil)
}
