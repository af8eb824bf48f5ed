//go:build !unix

package api

import "math"

// openFiles is how many files and connections this process may have open: Windows knows no such number.
func openFiles() int { return math.MaxInt }
