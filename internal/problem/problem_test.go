package problem_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/internal/problem"
)

func TestAProblemIsLoggedWhenItBeginsAndEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		set := problem.NewSet(slog.New(slog.NewTextHandler(&log, nil)))
		set.Report(codestory.Problem{Code: "disk_full", Message: "disk full: free some space in /data"})
		began := set.List()[0].Since
		time.Sleep(time.Minute)
		set.Report(codestory.Problem{Code: "disk_full", Message: "disk full: 3 files wait"})
		set.Report(codestory.Problem{Code: "a", Message: "first", Severity: codestory.SeverityError})

		list := set.List()
		if len(list) != 2 || list[0].Code != "a" || list[1].Message != "disk full: 3 files wait" {
			t.Fatalf("List() = %+v, want a, then the newer disk_full", list)
		}
		if !list[1].Since.Equal(began) || list[1].Severity != codestory.SeverityWarn {
			t.Errorf("disk_full = %+v, want the time it began (%v) and the default severity", list[1], began)
		}

		set.Clear("disk_full")
		set.Clear("disk_full")
		set.Clear("never there")
		if got := set.List(); len(got) != 1 {
			t.Errorf("List() = %+v after Clear, want a alone", got)
		}
		for text, want := range map[string]int{"disk_full": 2, "code=a": 1, "resolved: disk full: 3 files wait": 1} {
			if got := strings.Count(log.String(), text); got != want {
				t.Errorf("the log has %q %d times, want %d:\n%s", text, got, want, log.String())
			}
		}
	})
}
