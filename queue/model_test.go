package queue_test

import (
	"flag"
	"fmt"
	"testing"
	"time"

	"github.com/codestory/codestoryd/queue"
	"github.com/codestory/codestoryd/queue/queuetest"
)

var (
	modelSeed  = flag.Uint64("seed", 0, "the model takes this seed only; 0 takes some from the clock, and those that found bugs")
	modelSteps = flag.Int("steps", 200, "steps of the model for each seed")
	modelSeeds = flag.Int("seeds", 4, "how many seeds of the clock the model takes")
)

// TestModel takes random steps with the queue, and with a reference that has no database.
func TestModel(t *testing.T) {
	t.Parallel()
	seeds := []uint64{1, 2}
	for i := range *modelSeeds {
		seeds = append(seeds, uint64(time.Now().UnixNano())+uint64(i))
	}
	if *modelSeed != 0 {
		seeds = []uint64{*modelSeed}
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			queuetest.Model(t, seed, *modelSteps, queue.Invariants)
		})
	}
}
