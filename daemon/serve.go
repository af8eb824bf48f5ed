package daemon

import (
	"context"
	"sync"
)

// Service is a part of the program that runs until soft ends, finishes what it has begun within a bound of its own,
// and cuts that short when hard ends. It returns nil where it was told to stop.
type Service func(soft, hard context.Context) error

// Serve runs services until soft ends or one of them returns, then stops all, and returns the first error when all
// have returned. An error stops the others hard.
func Serve(soft, hard context.Context, services ...Service) error {
	soft, stop := context.WithCancel(soft)
	defer stop()
	hard, cut := context.WithCancel(hard)
	defer cut()
	var (
		all   sync.WaitGroup
		once  sync.Once
		first error
	)
	for _, run := range services {
		all.Go(func() {
			defer stop()
			if err := run(soft, hard); err != nil {
				once.Do(func() { first = err })
				cut()
			}
		})
	}
	all.Wait()
	return first
}
