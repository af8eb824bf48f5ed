package s3

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/remote/remotetest"
)

// storing answers a PUT with the ETag and checksum, and a GET with the content.
func storing(etag, checksum string, content []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("X-Amz-Request-Id", "4711")
		w.Header().Set("ETag", `"`+etag+`"`)
		if r.Method == http.MethodGet {
			w.Header().Set("Last-Modified", time.Now().UTC().Format(http.TimeFormat))
			_, _ = w.Write(content)
		} else if kind, sum, ok := strings.Cut(checksum, ":"); ok {
			w.Header().Set("X-Amz-Checksum-"+kind, sum)
		}
	}
}

func TestProof(t *testing.T) {
	t.Parallel()
	data := remotetest.Bytes(100_000)
	digest := md5.Sum(data)
	sum := hex.EncodeToString(digest[:])
	checksum := func(kind string, digest hash.Hash) string {
		digest.Write(data)
		return kind + ":" + base64.StdEncoding.EncodeToString(digest.Sum(nil))
	}
	crc := checksum("Crc64nvme", minio.ChecksumCRC64NVME.Hasher())
	sha := checksum("Sha256", sha256.New())
	const other = "0123456789abcdef0123456789abcdef"
	for name, c := range map[string]struct {
		etag, crc string
		content   []byte
		proved    bool
	}{
		"the MD5":                             {sum, "", nil, true},
		"the MD5 in capitals":                 {strings.ToUpper(sum), "", nil, true},
		"another MD5 and other content":       {other, "", data[1:], false},
		"another MD5 and less content":        {other, "", data[:99_999], false},
		"no MD5 but the content":              {other, "", data, true},
		"no MD5 but the checksum":             {other, crc, nil, true},
		"no MD5 but the SHA-256":              {other, sha, data, true},
		"no MD5 and another checksum":         {other, "Crc64nvme:AAAAAAAAAAA=", data, false},
		"an ETag of parts and other content":  {other + "-2", "", data[1:], false},
		"an ETag of parts but the content":    {other + "-2", "", data, true},
		"no ETag at all, though it is stored": {"", crc, data, false},
	} {
		store := answering(t, storing(c.etag, c.crc, c.content), nil)
		object, err := put(t, store, data)
		if c.proved && (err != nil || object.MD5 != sum || object.ETag != c.etag) {
			t.Errorf("%s: %+v, %v, want it proved", name, object, err)
		}
		if !c.proved && (err == nil || codestory.ClassOf(t.Context(), err) == codestory.ClassBlock) {
			t.Errorf("%s: %+v, %v, want an error", name, object, err)
		}
	}
}

// TestDirectoryBucket has ETags that look like MD5s and are none.
func TestDirectoryBucket(t *testing.T) {
	t.Parallel()
	const etag = "0123456789abcdef0123456789abcdef"
	store := answering(t, storing(etag, "", remotetest.Bytes(10)), func(o *Options) { o.Bucket = "stories--use1-az4--x-s3" })
	if _, err := put(t, store, remotetest.Bytes(10)); err != nil {
		t.Errorf("put: %v", err)
	}
	body, object, err := store.Open(t.Context(), key, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if object.MD5 != "" || object.ETag != etag {
		t.Errorf("open: %+v, want no MD5", object)
	}
}
