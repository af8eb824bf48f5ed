package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"sync/atomic"
	"time"

	"github.com/rclone/rclone/fs"
	"github.com/rclone/rclone/fs/filter"
)

// bandwidth is a limit in rclone's syntax (https://rclone.org/docs/#bwlimit-bwtimetable). It may be replaced while it is in
// use. Of a pair such as 10M:1M, the first is the limit of uploads.
type bandwidth struct {
	table atomic.Pointer[fs.BwTimetable]
}

func parseBandwidth(s string) (*bandwidth, error) {
	var timetable fs.BwTimetable
	if err := timetable.Set(s); err != nil {
		return nil, fmt.Errorf("%w: use rclone's syntax, such as 1M, off, or \"08:00,512k 19:00,off\"", err)
	}
	b := &bandwidth{}
	b.table.Store(&timetable)
	return b, nil
}

// at is the limit in bytes per second; 0 or less is none.
func (b *bandwidth) at(now time.Time) int64 { return int64(b.table.Load().LimitAt(now).Bandwidth.Tx) }

// parseExcludes reads patterns in rclone's filter syntax (https://rclone.org/filtering/). The function returns the first
// pattern that excludes a path; it is nil if there are no patterns.
func parseExcludes(patterns []string) (func(path string, isDir bool) (pattern string, excluded bool), error) {
	if len(patterns) == 0 {
		return nil, nil
	}
	filters := make([]*filter.Filter, len(patterns))
	for i, pattern := range patterns {
		opts := filter.Opt // its defaults
		opts.ExcludeRule = []string{pattern}
		var err error
		if filters[i], err = filter.NewFilter(&opts); err != nil {
			return nil, fmt.Errorf("%w: use rclone's filter syntax", err)
		}
	}
	return func(path string, isDir bool) (string, bool) {
		for i, f := range filters {
			if !includes(f, path, isDir) {
				return patterns[i], true
			}
		}
		return "", false
	}, nil
}

// duration is a flag in rclone's syntax of durations (https://rclone.org/docs/#time-options): Go's, with d for days and w
// for weeks besides. Dates and "off", which rclone takes too, are errors.
type duration time.Duration

func (d *duration) Set(s string) error {
	if !isLength.MatchString(s) {
		return errors.New("use a number and a unit, such as 90m, 12h or 2d")
	}
	length, err := fs.ParseDuration(s)
	*d = duration(length)
	return err
}

// isLength refuses what else rclone accepts: "1M" as a month, "5" as seconds.
var isLength = regexp.MustCompile(`^([0-9]*\.?[0-9]+(ms|s|m|h|d|w))+$`)

func (d *duration) String() string { return time.Duration(*d).String() }

func (*duration) Type() string { return "duration" }

func includes(f *filter.Filter, path string, isDir bool) bool {
	if !isDir {
		return f.IncludeRemote(path)
	}
	// It asks no file system and cannot fail, since no rule here is about a file that has to be present.
	included, _ := f.IncludeDirectory(context.Background(), nil)(path)
	return included
}
