package folder

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/remote"
	"github.com/codestory/codestoryd/remote/remotetest"
)

// contents of version n: of a size that is not the one before's, telling which version it is from every byte on.
func contents(n int) string {
	return strings.Repeat(fmt.Sprintf("version %d\n", n), 1+n*n*7919%30_000)
}

const killedKeys = 3

func killedKey(n int) string {
	return fmt.Sprintf("%schapters/chapter_%02d.mp3", story, 1+n%killedKeys)
}

// putForEver puts one version after the other and prints the number of each once Put has returned.
func putForEver(dir string) error {
	folder, err := New(dir, Options{})
	if err != nil {
		return err
	}
	first, _ := strconv.Atoi(os.Getenv("CODESTORYD_TEST_FIRST"))
	for n := first; ; n++ {
		src := remotetest.NewSource([]byte(contents(n)))
		if _, err := folder.Put(context.Background(), killedKey(n), src, remote.PutOptions{ContentType: mp3}); err != nil {
			return err
		}
		fmt.Println(n)
	}
}

// TestKilled kills the process at any moment, over and over. What was acknowledged is there, or something newer
// is; what is there is whole and rightly described.
func TestKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it kills processes")
	}
	t.Parallel()
	dir := t.TempDir()
	acknowledged := map[string]int{}
	next := 0
	for round := range 12 {
		last := kill(t, dir, next, rand.IntN(12))
		for n := next; n <= last; n++ {
			acknowledged[killedKey(n)] = n
		}
		folder, err := New(dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		for i := range killedKeys {
			object, err := folder.Stat(t.Context(), killedKey(i))
			at, ok := acknowledged[killedKey(i)]
			if errors.Is(err, codestory.ErrNotFound) && !ok {
				continue
			}
			if err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
			data := mustRead(t, folder, killedKey(i))
			var n int
			if _, err := fmt.Sscanf(data, "version %d\n", &n); err != nil || data != contents(n) || n < at {
				t.Errorf("round %d: %s holds %d bytes that begin %.20q, want version %d or later whole", round, killedKey(i), len(data), data, at)
			}
			if object.MD5 != sum(data) || object.ContentType != mp3 {
				t.Errorf("round %d: %s is described as %+v, want MD5 %s", round, killedKey(i), object, sum(data))
			}
		}
		next = max(next, last+1) + killedKeys // versions that may be there unacknowledged are not put again
	}
}

// kill runs putForEver and kills it after so many puts, in the middle of another. It returns the last version that
// was acknowledged, first-1 for none.
func kill(t *testing.T, dir string, first, puts int) int {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), "CODESTORYD_TEST_PUT="+dir, fmt.Sprint("CODESTORYD_TEST_FIRST=", first))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	last := first - 1
	lines := bufio.NewScanner(out)
	for last-first+1 < puts && lines.Scan() {
		if last, err = strconv.Atoi(lines.Text()); err != nil {
			t.Fatalf("the process says %q", lines.Text())
		}
	}
	<-time.After(rand.N(20 * time.Millisecond)) // the moment is what the test is about: any line of the next put
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() {
		if last, err = strconv.Atoi(lines.Text()); err != nil {
			t.Fatalf("the process says %q", lines.Text())
		}
	}
	_ = cmd.Wait() // that it was killed
	return last
}
