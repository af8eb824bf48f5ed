package remote_test

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/remote"
	"github.com/codestory/codestoryd/remote/remotetest"
)

func TestBodyReadsAllAndDigestsIt(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, 2, 511, 64 << 10, 1<<20 + 1} {
		data := remotetest.Bytes(size)
		sha := sha256.New()
		body := remote.NewBody(remotetest.NewSource(data), sha)
		if err := iotest.TestReader(body, data); err != nil {
			t.Errorf("%d bytes: %v", size, err)
		}
		sum := md5.Sum(data)
		if got, want := body.Sum(), hex.EncodeToString(sum[:]); got != want {
			t.Errorf("%d bytes: sum %s, want %s", size, got, want)
		}
		if want := sha256.Sum256(data); !bytes.Equal(sha.Sum(nil), want[:]) {
			t.Errorf("%d bytes: another digest got something else", size)
		}
		if !body.Complete() || body.Err() != nil {
			t.Errorf("%d bytes: complete %v, err %v", size, body.Complete(), body.Err())
		}
	}
}

func TestBodyHoldsTheEndBackFromAChangedSource(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, 2, 64 << 10} {
		for name, wrap := range map[string]func(io.Reader) io.Reader{
			"whole":      func(r io.Reader) io.Reader { return r },
			"one by one": iotest.OneByteReader,
			"halves":     iotest.HalfReader,
		} {
			src := remotetest.NewSource(remotetest.Bytes(size)).ChangeAfter(int64(size))
			body := remote.NewBody(src)
			got, err := io.ReadAll(wrap(body))
			if !errors.Is(err, codestory.ErrChanged) {
				t.Errorf("%d bytes, %s: error %v, want ErrChanged", size, name, err)
			}
			if size > 0 && len(got) >= size {
				t.Errorf("%d bytes, %s: all of them came out", size, name)
			}
			if body.Complete() || !errors.Is(body.Err(), codestory.ErrChanged) {
				t.Errorf("%d bytes, %s: complete %v, err %v", size, name, body.Complete(), body.Err())
			}
		}
	}
}

func TestBodyOfAFileThatIsShorterThanItSaid(t *testing.T) {
	t.Parallel()
	body := remote.NewBody(remotetest.NewSource(remotetest.Bytes(1000)).Claim(1001))
	got, err := io.ReadAll(body)
	if !errors.Is(err, codestory.ErrChanged) || !strings.Contains(err.Error(), "1000 of 1001") {
		t.Errorf("error %v, want ErrChanged with the two sizes", err)
	}
	if len(got) != 1000 || body.Complete() {
		t.Errorf("%d bytes, complete %v", len(got), body.Complete())
	}
}

func TestBodyKeepsTheErrorOfTheSource(t *testing.T) {
	t.Parallel()
	body := remote.NewBody(remotetest.NewSource(remotetest.Bytes(1000)).FailAt(500, os.ErrPermission))
	got, err := io.ReadAll(body)
	if !errors.Is(err, os.ErrPermission) || errors.Is(err, codestory.ErrChanged) || len(got) > 500 {
		t.Errorf("%d bytes, error %v, want at most 500 and the source's own error", len(got), err)
	}
	if again, err := body.Read(make([]byte, 1)); again != 0 || !errors.Is(err, os.ErrPermission) {
		t.Errorf("read on: %d, %v, want the same error", again, err)
	}
}

func TestBodyLeavesTheSourceAloneOnceClosed(t *testing.T) {
	t.Parallel()
	body := remote.NewBody(remotetest.NewSource(remotetest.Bytes(1000)))
	if _, err := io.ReadFull(body, make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	if err := body.Close(); err != nil {
		t.Fatal(err)
	}
	if n, err := body.Read(make([]byte, 10)); n != 0 || err == nil || errors.Is(err, io.EOF) {
		t.Errorf("read after Close: %d, %v", n, err)
	}
	if body.Complete() || body.Err() != nil {
		t.Errorf("complete %v, err %v: closing is no fault of the source", body.Complete(), body.Err())
	}
}
