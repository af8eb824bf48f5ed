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

// itemDelays spaces the attempts at one file. There is no last one.
var itemDelays = backoff{first: 2 * time.Second, most: 10 * time.Minute}
