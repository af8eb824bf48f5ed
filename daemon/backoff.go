package daemon

import (
	"math/rand/v2"
	"time"
)

// backoff spaces attempts: the delay doubles from first up to most, and has full jitter, so that many who failed
// together do not come back together (Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015). A
// tenth of it is never cut, so that no jitter makes a storm.
type backoff struct{ first, most time.Duration }

// after is the delay after that many failures in a row, from 1.
func (b backoff) after(failures int) time.Duration {
	d := b.most
	if n := max(0, failures-1); n < 32 && b.first<<n < b.most {
		d = b.first << n
	}
	return d/10 + rand.N(d-d/10)
}

// databaseDelays spaces the attempts to use a database that fails, as on a full disk.
var databaseDelays = backoff{first: time.Second, most: 15 * time.Second}

// quickAttempts at one file follow one another closely: most of what goes wrong on the way is over in a moment.
const quickAttempts = 3

var (
	quickDelays = backoff{first: 250 * time.Millisecond, most: 500 * time.Millisecond}
	itemDelays  = backoff{first: 2 * time.Second, most: 10 * time.Minute}
)

// itemDelay is how long a file waits after that many failures in a row, from 1. There is no last attempt.
func itemDelay(failures int) time.Duration {
	if failures < quickAttempts {
		return quickDelays.after(failures)
	}
	return itemDelays.after(failures - quickAttempts + 1)
}
