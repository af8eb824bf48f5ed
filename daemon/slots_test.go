package daemon

import (
	"context"
	"testing"
	"testing/synctest"
)

func TestSlots(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		set  int
		size int64
		want int
	}{
		"small files":        {size: 16 << 10, want: manyUploads},
		"empty files":        {size: 0, want: manyUploads},
		"files of 1 MiB":     {size: 1 << 20, want: fewUploads},
		"files of 512 KiB":   {size: 512 << 10, want: 16},
		"large files":        {size: 1 << 30, want: fewUploads},
		"small, by number":   {set: 3, size: 1, want: 3},
		"large, by number":   {set: 100, size: 1 << 30, want: 100},
		"one after the next": {set: 1, size: 1 << 20, want: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newSlots(test.set)
				ctx, cancel := context.WithCancel(t.Context())
				begun, ended := make(chan struct{}, 1000), make(chan error)
				go func() {
					for {
						if err := s.take(ctx); err != nil {
							ended <- err
							return
						}
						s.fill(test.size)
						begun <- struct{}{}
					}
				}()
				synctest.Wait()
				if got := len(begun); got != test.want {
					t.Errorf("%d uploads begin, want %d", got, test.want)
				}
				s.free(test.size)
				synctest.Wait()
				if got := len(begun); got != test.want+1 {
					t.Errorf("%d uploads begin after one has ended, want %d", got, test.want+1)
				}
				cancel()
				if err := <-ended; err == nil {
					t.Error("taking a slot goes on after the end")
				}
			})
		})
	}
}
