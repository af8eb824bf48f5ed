package daemon

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/text/unicode/norm"

	"github.com/codestory/codestoryd"
)

// twins are files whose names are one text in two Unicode forms, composed and decomposed, as a file has that was
// copied from a Mac and written again by a generator elsewhere. They look the same and are two files with two keys:
// both are stored, and a person is told.
type twins struct {
	mu    sync.Mutex
	pairs map[string]twin // by the composed name; at most maxTwins
}

type twin struct {
	names [2]string
	since time.Time
}

const maxTwins = 1000

// note looks for the twin of a file that was seen as version.
func (t *twins) note(tree stater, name string, version codestory.Version) {
	if ascii(name) {
		return
	}
	for _, form := range []norm.Form{norm.NFC, norm.NFD} {
		other := form.String(name)
		if other == name || !distinct(tree, other, version) {
			continue
		}
		names := [2]string{name, other}
		slices.Sort(names[:])
		t.add(norm.NFC.String(name), twin{names, time.Now().Round(0)})
		return
	}
}

// stater tells which version of a file there is.
type stater interface {
	Stat(codestory.Path) (codestory.Version, error)
}

// distinct reports whether there is a file of that name beside the one that was seen as version: file systems that take
// both forms for one name find the same again.
func distinct(tree stater, name string, version codestory.Version) bool {
	path, err := codestory.ParsePath(name)
	if err != nil {
		return false
	}
	found, err := tree.Stat(path)
	return err == nil && (found.Inode != version.Inode || found.Inode == 0 && found != version)
}

func (t *twins) add(composed string, pair twin) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, known := t.pairs[composed]; known || len(t.pairs) >= maxTwins {
		return
	}
	if t.pairs == nil {
		t.pairs = map[string]twin{}
	}
	t.pairs[composed] = pair
}

// problems says which twins there are now.
func (t *twins) problems(tree stater) []codestory.Problem {
	t.mu.Lock()
	defer t.mu.Unlock()
	maps.DeleteFunc(t.pairs, func(_ string, pair twin) bool {
		version, err := tree.Stat(codestory.Path(pair.names[0]))
		return err != nil || !distinct(tree, pair.names[1], version)
	})
	if len(t.pairs) == 0 {
		return nil
	}
	first := slices.Min(slices.Collect(maps.Keys(t.pairs)))
	since := t.pairs[first].since
	for _, pair := range t.pairs {
		if pair.since.Before(since) {
			since = pair.since
		}
	}
	return []codestory.Problem{{
		Code: "unicode_twins",
		Message: fmt.Sprintf("%d names are there in two Unicode forms, such as %+q and %+q: both files are stored, each under its own key; remove the one that is not meant",
			len(t.pairs), t.pairs[first].names[0], t.pairs[first].names[1]),
		Since: since,
	}}
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
