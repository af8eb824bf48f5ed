package daemon

import (
	"context"

	"golang.org/x/sync/errgroup"
)

// Service is a part of the program that runs until soft ends, finishes what it has begun within a bound of its own,
// and cuts that short when hard ends. It returns nil if it was told to stop.
type Service func(soft, hard context.Context) error

// Serve runs services until soft ends or one of them returns, then stops all, and returns the first error when all
// have returned. An error stops the others hard.
func Serve(soft, hard context.Context, services ...Service) error {
	soft, stop := context.WithCancel(soft)
	defer stop()
	all, hard := errgroup.WithContext(hard)
	for _, run := range services {
		all.Go(func() error {
			defer stop()
			return run(soft, hard)
		})
	}
	return all.Wait()
}
