package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

const (
	// gcPercent keeps the heap smaller than Go does by itself, for a daemon that is there all day: less than a tenth of
	// its time on the processors is that of the collector, also with thousands of files in a second.
	gcPercent = 50
	// gcFloor is what the heap may grow to in any case. Half of the few megabytes that are in use while only players are
	// served would be collected many times in a second.
	gcFloor = 12 << 20 // bytes
)

// tuneCollector sets when the collector runs, unless the environment does, by Go's own name.
func tuneCollector() {
	if _, set := os.LookupEnv("GOGC"); set {
		return
	}
	debug.SetGCPercent(gcPercent)
	afterEach(func() { debug.SetGCPercent(percentFor(liveBytes())) })
}

// percentFor is how much the heap may grow by, in percent of what is live.
func percentFor(live uint64) int {
	return max(gcPercent, int(gcFloor*100/max(live, 1<<20))-100)
}

// liveBytes is what the last collection found to be in use.
func liveBytes() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// afterEach calls f after each collection, by an object that nothing refers to.
func afterEach(f func()) {
	type sentinel struct{ _ [16]byte }
	var watch func(*sentinel)
	watch = func(*sentinel) {
		f()
		runtime.SetFinalizer(&sentinel{}, watch)
	}
	runtime.SetFinalizer(&sentinel{}, watch)
}
