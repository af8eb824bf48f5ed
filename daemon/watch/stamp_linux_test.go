package watch

import (
	"os"
	"testing"

	"github.com/codestory/codestoryd"
)

func TestMultigrainKernel(t *testing.T) {
	t.Parallel()
	for release, want := range map[string]bool{
		"6.12.9": false, "5.15.0-100-generic": false, "6.13.0-rc1": true, "6.18.44": true, "7.0": true, "nonsense": false, "": false,
	} {
		if got := multigrainKernel(release); got != want {
			t.Errorf("%q: %v, want %v", release, got, want)
		}
	}
}

// Where it is said that changes never share a time, they never do.
func TestStampsDiffer(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	path := codestory.Path(storyA + "/cover.jpg")
	r.write(string(path), "x")
	f, err := os.OpenFile(r.path(string(path)), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if !stampsDiffer(f) {
		t.Skip("this kernel stamps files by its ticks here")
	}
	for range 1000 {
		before, err := r.tree.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte("y"), 0); err != nil {
			t.Fatal(err)
		}
		if after, err := r.tree.Stat(path); err != nil || after == before {
			t.Fatalf("a change left the version %+v as it was: %v", before, err)
		}
	}
}
