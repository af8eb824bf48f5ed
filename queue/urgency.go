package queue

import (
	"math/bits"
	"time"

	"github.com/codestory/codestoryd"
)

const (
	rankHandicap = time.Hour
	sizeHandicap = time.Minute
)

// urgency orders the files that wait, the smallest number first. It is the time at which the file began to wait, plus
// a handicap: an hour for each step from metadata to chapter 1 to the whole story to the rest, a minute for each
// doubling of the size. So among files that came together the playable ones go first, and the small before the large;
// a new story's first files go before the rest of a backlog; and, because the clock moves on and handicaps do not,
// nothing waits forever: what came four hours before another file always goes first.
func urgency(since time.Time, path codestory.Path, size int64) int64 {
	handicap := time.Duration(path.Rank())*rankHandicap + time.Duration(bits.Len64(uint64(size)))*sizeHandicap
	return since.Add(handicap).UnixNano()
}
