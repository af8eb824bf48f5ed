package watch

import (
	"errors"
	"syscall"
	"time"

	"github.com/codestory/codestoryd"
)

// writers says whether somebody has a file open for writing.
type writers int

const (
	writersUnknown writers = iota // this system, file system or user cannot tell
	writersNone
	writersSome
)

// The file events that there are on every system do not tell of a close. The last write comes just before it as a rule,
// so a file that is held open is probed again soon after each event, and more and more rarely when none comes. What a
// probe costs is some system calls.
const (
	// firstProbe is the least time between two probes of a file that is new: most are written in one go.
	firstProbe = 50 * time.Microsecond
	// steadyProbe is the same for one that has been written to for long.
	steadyProbe = 10 * time.Millisecond
	// lastProbe is how long the pause of a writer may make the time to the next probe.
	lastProbe = 250 * time.Millisecond
	// probeEvery bounds the probes of all files that are held open together, where they are many.
	probeEvery = time.Millisecond
)

// shortestProbe is the time between two probes of a file that is written to all the while, and has been for that long.
func shortestProbe(written time.Duration) time.Duration {
	return min(max(written/100, firstProbe), steadyProbe)
}

// nextProbe is when to probe a file again that somebody holds open, and that nothing has happened to for quiet.
func (p *pending) nextProbe(quiet, written time.Duration) time.Duration {
	most := max(lastProbe, time.Duration(p.len())*probeEvery)
	return max(min(quiet/4, most), shortestProbe(written))
}

// probe says whether somebody has the file open for writing, and as which version it was seen when nobody had. A file
// that this user may not open cannot be probed: it stays at v. Its error says that v is not there any more.
func (w *Watcher) probe(name string, v codestory.Version) (codestory.Version, writers, error) {
	f, err := w.tree.open(name)
	switch {
	case errors.Is(err, codestory.ErrNotFound), errors.Is(err, ErrDirMissing):
		return v, writersUnknown, err
	case errors.Is(err, syscall.EAGAIN): // somebody holds an exclusive lease on it
		return v, writersSome, nil
	case err != nil:
		return v, writersUnknown, nil
	}
	defer f.Close()
	answer, info, err := w.writersOf(f.file)
	if err != nil {
		return v, writersUnknown, nil
	}
	return versionOf(info), answer, nil
}
