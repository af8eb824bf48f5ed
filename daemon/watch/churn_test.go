package watch

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// Whatever is done to the directories, events alone bring every file that is there in the end, as it is in the end:
// no directory is forgotten, or known under a name that it no longer has.
func TestEventsKeepUpWithChurn(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it writes for seconds")
	}
	t.Parallel()
	for range 4 {
		seed := rand.Uint64()
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			e := newEnv(t)
			e.start()
			c := churn{env: e, random: rand.New(rand.NewPCG(seed, 0))}
			for range 3 {
				for range 300 {
					c.step()
				}
				e.wait("every file that is there to be known", c.known)
			}
			if e.log.count(problemEventsLost) > 0 {
				t.Errorf("a scan helped: %q", e.log.lines)
			}
		})
	}
}

type churn struct {
	*env
	random *rand.Rand
	writes int
}

func (c *churn) pick(from ...string) string { return from[c.random.IntN(len(from))] }

// somewhere is the path of a directory that may be there.
func (c *churn) somewhere() string {
	dir := c.pick(storyA, storyB, "../outside")
	for range c.random.IntN(3) {
		dir += "/" + c.pick("a", "b", "c", "d.part")
	}
	return dir
}

// step does one thing, which may fail: what matters is what is there in the end.
func (c *churn) step() {
	from, to := c.path(c.somewhere()), c.path(c.somewhere())
	switch c.random.IntN(10) {
	case 0:
		_ = os.RemoveAll(from)
	case 1, 2, 3:
		_ = os.Rename(from, to)
	case 4:
		_ = os.Rename(filepath.Join(from, "x"), filepath.Join(to, "y"))
	default:
		c.writes++
		_ = os.MkdirAll(from, 0o755)
		_ = os.WriteFile(filepath.Join(from, c.pick("x", "y")), fmt.Append(nil, c.writes), 0o644)
	}
}

// known reports whether the sink knows every file of the tree as it is.
func (c *churn) known() bool {
	known := true
	err := c.tree.Walk(c.t.Context(), Rules{}, func(e Entry) error {
		if e.Ignored != "" {
			return nil
		}
		c.sink.mu.Lock()
		defer c.sink.mu.Unlock()
		known = known && e.Err == nil && c.sink.known[e.Name] == e.Version
		if !known {
			return fs.SkipAll
		}
		return nil
	})
	return known && err == nil
}
