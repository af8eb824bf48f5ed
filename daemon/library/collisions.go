package library

import (
	"fmt"
	"maps"
	"slices"
	"sync"

	"golang.org/x/text/unicode/norm"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/internal/problem"
)

// unicodeCollisions are files whose names are one text in two Unicode forms, composed and decomposed, as a file has that was
// copied from a Mac and written again by a generator elsewhere. They look the same and are two files with two keys:
// both are stored, and a person is told.
type unicodeCollisions struct {
	mu    sync.Mutex
	pairs map[string][2]string // by the composed name; at most maxCollisions
}

const maxCollisions = 1000

// note looks for the twin of a file that was seen as version.
func (t *unicodeCollisions) note(tree stater, name string, version codestory.Version) {
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
		t.add(norm.NFC.String(name), names)
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

func (t *unicodeCollisions) add(composed string, names [2]string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, known := t.pairs[composed]; known || len(t.pairs) >= maxCollisions {
		return
	}
	if t.pairs == nil {
		t.pairs = map[string][2]string{}
	}
	t.pairs[composed] = names
}

const problemUnicodeTwins = "unicode_twins"

// report reports the collisions that there are now.
func (t *unicodeCollisions) report(tree stater, problems *problem.Set) {
	t.mu.Lock()
	defer t.mu.Unlock()
	maps.DeleteFunc(t.pairs, func(_ string, names [2]string) bool {
		version, err := tree.Stat(codestory.Path(names[0]))
		return err != nil || !distinct(tree, names[1], version)
	})
	if len(t.pairs) == 0 {
		problems.Clear(problemUnicodeTwins)
		return
	}
	first := t.pairs[slices.Min(slices.Collect(maps.Keys(t.pairs)))]
	problems.Report(codestory.Problem{
		Code: problemUnicodeTwins,
		Message: fmt.Sprintf("%d names are there in two Unicode forms, such as %+q and %+q: both files are stored, each under its own key; remove the one that is not meant",
			len(t.pairs), first[0], first[1]),
	})
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
