//go:build !linux && !darwin

package disk

// Room is not known: a write that does not fit fails.
func Room(string) (n int64, known bool) { return 0, false }
