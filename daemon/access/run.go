package access

import (
	"context"
	"log/slog"
	"os"
	"runtime"
	"time"

	"github.com/codestory/codestoryd"
)

const (
	lookEvery  = time.Second // at the files of secrets
	writeEvery = time.Minute // when tokens were last used
)

// Run notices until ctx ends that the file of a secret was replaced or removed, and writes down when tokens were last
// used. Close writes the rest.
func (a *Access) Run(ctx context.Context, log *slog.Logger) error {
	for _, p := range a.Problems() {
		log.Warn(p.Message)
	}
	look, write := time.NewTicker(lookEvery), time.NewTicker(writeEvery)
	defer look.Stop()
	defer write.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-look.C:
			a.look(log)
		case <-write.C:
			a.writeUse(log)
		}
	}
}

func (a *Access) look(log *slog.Logger) {
	for _, s := range []*secret{a.owner, a.key} {
		before := s.readable()
		switch replaced, err := s.look(); {
		case err != nil:
			log.Warn("a secret cannot be read again, the old one stays in force", "err", err)
		case replaced:
			log.Info("another secret is in force", "file", s.path)
		}
		if p := s.readable(); p != nil && p != before {
			log.Warn(p.Message)
		}
	}
}

// writeUse keeps what it cannot write for the next time.
func (a *Access) writeUse(log *slog.Logger) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.used) == 0 {
		return
	}
	if err := a.save(a.withUse()); err != nil {
		log.Debug("when tokens were last used is not written yet", "err", err)
	}
}

// Problems are what is wrong with the files.
func (a *Access) Problems() []codestory.Problem {
	list := append(a.owner.problems(), a.key.problems()...)
	info, err := os.Stat(a.dir)
	if err == nil && runtime.GOOS != "windows" && info.Mode().Perm()&0o002 != 0 {
		list = append(list, codestory.Problem{
			Code: "data_dir_open", Since: a.opened,
			Message: "every user of this machine can replace the tokens and keys in " + a.dir + ": take that right away with chmod o-w",
		})
	}
	return list
}
