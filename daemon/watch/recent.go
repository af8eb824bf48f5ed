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
}

func newRecent(window time.Duration) recent {
	return recent{window: window, young: make(map[string]handed)}
}

func (r *recent) note(name string, v codestory.Version, now time.Time) {
	if now.Sub(r.turned) >= r.window || len(r.young) >= maxRecent {
		r.young, r.old, r.turned = make(map[string]handed), r.young, now
	}
	r.young[name] = handed{v, now}
}

// of is the version that was handed on last, if that was a moment ago.
func (r *recent) of(name string, now time.Time) (v codestory.Version, ok bool) {
	h, ok := r.young[name]
	if !ok {
		h, ok = r.old[name]
	}
	return h.version, ok && now.Sub(h.at) < r.window
}
