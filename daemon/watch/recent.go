package watch

import (
	"time"

	"github.com/codestory/codestoryd"
)

// maxRecent bounds what is remembered of a burst. Whoever is forgotten may be handed on once more than needed.
const maxRecent = 10_000

// recent remembers what was handed on a moment ago, for window: a file that is written again so soon is one that is
// written in pieces.
type recent struct {
	window time.Duration
	turned time.Time // when young became old
	young  map[string]handed
	old    map[string]handed
}

// handed is a version that the sink has taken.
type handed struct {
	version codestory.Version
	at      time.Time
	row     int // how many there were before it, each a moment after the one before
}

// maxRetouched is how often in a row a file is handed on at once whose times or rights were set.
const maxRetouched = 3

// isRetouched reports whether v looks like the version with its times or rights set, as most tools that copy do right
// after they have closed a file. Who rewrites a file and restores its time looks like that too, if only so often.
func (h handed) isRetouched(v codestory.Version) bool {
	set := v.ModTime == h.version.ModTime || v.ModTime != v.ChangeTime
	return set && v.Size == h.version.Size && v.Inode == h.version.Inode && h.row < maxRetouched
}

func newRecent(window time.Duration) recent {
	return recent{window: window, young: make(map[string]handed)}
}

func (r *recent) note(name string, v codestory.Version, now time.Time) {
	next := handed{version: v, at: now}
	if last, ok := r.of(name, now); ok {
		next.row = last.row + 1
	}
	if now.Sub(r.turned) >= r.window || len(r.young) >= maxRecent {
		r.young, r.old, r.turned = make(map[string]handed), r.young, now
	}
	r.young[name] = next
}

// of is what was handed on last, if that was a moment ago.
func (r *recent) of(name string, now time.Time) (h handed, ok bool) {
	if h, ok = r.young[name]; !ok {
		h, ok = r.old[name]
	}
	return h, ok && now.Sub(h.at) < r.window
}
