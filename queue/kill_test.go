package queue_test

import (
	"flag"
	"os"
	"testing"

	"github.com/codestory/codestoryd/queue"
	"github.com/codestory/codestoryd/queue/queuetest"
)

var killRounds = flag.Int("rounds", 30, "how many times the writing process is killed")

func TestMain(m *testing.M) {
	queuetest.Main()
	os.Exit(m.Run())
}

// TestKill kills a process that writes, again and again, and looks at what is left.
func TestKill(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it kills processes")
	}
	t.Parallel()
	queuetest.Kill(t, *killRounds, queue.Invariants)
}

// TestKillAsked kills a process that drops files, again and again, and damages the database that it leaves.
func TestKillAsked(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it kills processes")
	}
	t.Parallel()
	queuetest.KillAsked(t, *killRounds/3)
}
