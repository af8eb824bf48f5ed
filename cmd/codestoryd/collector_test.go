package main

import "testing"

// TestPercentFor: a small heap may grow to the floor, a large one by its share.
func TestPercentFor(t *testing.T) {
	t.Parallel()
	for live, want := range map[uint64]int{0: 1100, 1 << 20: 1100, 3 << 20: 300, 8 << 20: gcPercent, 100 << 20: gcPercent} {
		if got := percentFor(live); got != want {
			t.Errorf("of %d bytes by %d %%, want %d", live, got, want)
		}
	}
}
