package rclone

import (
	"testing"
)

func TestRedacted(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"nas:stories":                           "nas:stories",
		"nas:a,b=c":                             "nas:a,b=c",
		":local:/tmp/x":                         ":local:/tmp/x",
		"nas,pass=hush:stories":                 "nas,(hidden):stories",
		`x,url="http://u:p@h/?q",pass='hu,sh':`: "x,(hidden):",
		`x,pass="hu""sh":p`:                     "x,(hidden):p",
		":webdav,vendor:p":                      ":webdav,(hidden):p",
		"x,pass=hu:sh:p":                        "x,(hidden)",
		`x,pass="hush:p`:                        "(hidden)",
		`x\,pass=hush:p`:                        "(hidden)",
		"x,pass=hush":                           "(hidden)",
	} {
		if got := Redacted(name); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
}
