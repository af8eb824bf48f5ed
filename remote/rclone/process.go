package rclone

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/rclone/rclone/fs"
	"github.com/rclone/rclone/fs/config"
	"github.com/rclone/rclone/fs/config/configfile"
	"github.com/rclone/rclone/lib/atexit"

	"github.com/codestory/codestoryd/remote/rclone/lazy"
)

// process is what rclone keeps once for the process, and therefore so must we. rclone guards none of it, so each part
// is set once, before rclone has a reason to read it.
var process struct {
	once   sync.Once
	logger atomic.Pointer[slog.Logger]
	hiding atomic.Pointer[strings.Replacer] // of secrets in the log; nil hides nothing

	config    sync.Once
	configErr error
}

// setUp comes before anything else that is asked of rclone. From now on it logs to logger, nil for nowhere, asks
// nothing on the terminal, and leaves signals alone: during an upload it would end the process at the first one.
func setUp(logger *slog.Logger) {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	process.logger.Store(logger)
	process.once.Do(func() {
		lazy.Restore()
		fs.SetLogger(logHandler{})
		fs.GetConfig(context.Background()).AskPassword = false
		atexit.IgnoreSignals()
	})
}

// logHandler passes rclone's log on. rclone returns its errors too, so most of it is for whoever debugs; what it
// calls an error may be something that it tells nobody else, such as a token that it could not save.
type logHandler struct{}

func level(of slog.Level) slog.Level {
	if of >= slog.LevelError {
		return slog.LevelWarn
	}
	return slog.LevelDebug
}

func (logHandler) Enabled(ctx context.Context, of slog.Level) bool {
	return process.logger.Load().Enabled(ctx, level(of))
}

func (logHandler) Handle(ctx context.Context, r slog.Record) error {
	hide := func(text string) string { return text }
	if hiding := process.hiding.Load(); hiding != nil {
		hide = hiding.Replace
	}
	attrs := []slog.Attr{slog.String("message", hide(strings.TrimSpace(r.Message)))}
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "object" {
			attrs = append(attrs, slog.String(a.Key, hide(a.Value.String())))
		}
		return true
	})
	process.logger.Load().LogAttrs(ctx, level(r.Level), "rclone says", attrs...)
	return nil
}

func (h logHandler) WithAttrs([]slog.Attr) slog.Handler { return h }
func (h logHandler) WithGroup(string) slog.Handler      { return h }

// loadConfig reads the user's rclone.conf, where rclone itself looks for it or where RCLONE_CONFIG says. It is done
// once; a change to the file is picked up by rclone. Without a file there are the remotes of the environment only.
//
// rclone ends the process where its own loading fails, and asks on the terminal for a password that it has not got;
// so it is loaded here first.
func loadConfig() error {
	process.config.Do(func() { process.configErr = loadConfigFile() })
	return process.configErr
}

func loadConfigFile() error {
	if path := os.Getenv("RCLONE_CONFIG"); path != "" {
		if err := config.SetConfigPath(path); err != nil {
			return fmt.Errorf("RCLONE_CONFIG names %s: %w", path, err)
		}
	}
	configfile.Install()
	err := config.Data().Load()
	if err != nil && !errors.Is(err, config.ErrorConfigFileNotFound) {
		return fmt.Errorf("reading rclone's configuration %s: %w", config.GetConfigPath(), err)
	}
	config.LoadedData() // so that rclone takes it for loaded, which it notes without a lock
	return nil
}
