package s3

import (
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/remote/remotetest"
)

// partServer is a server of one upload in parts, which lists few of them at a time. answer stands in for its own
// answers: to "create", "part", "complete", "abort", "list", "stat" and "get".
type partServer struct {
	t      *testing.T
	answer map[string]http.HandlerFunc

	mu    sync.Mutex
	parts map[int][]byte
	whole []byte // after Complete
	seen  []string
}

const fakeUpload = "the/upload+id"

func (s *partServer) requests() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	counts := map[string]int{}
	for _, r := range s.seen {
		counts[r]++
	}
	s.seen = nil
	return counts
}

func (s *partServer) set(what string, answer http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.answer == nil {
		s.answer = map[string]http.HandlerFunc{}
	}
	s.answer[what] = answer
}

func (s *partServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	body, _ := io.ReadAll(r.Body)
	what := map[string]string{"HEAD": "stat", "GET": "get", "DELETE": "delete", "PUT": "put", "POST": "post"}[r.Method]
	switch {
	case r.Method == http.MethodPost && query.Has("uploads"):
		what = "create"
	case query.Get("uploadId") == fakeUpload:
		what = map[string]string{"PUT": "part", "GET": "list", "POST": "complete", "DELETE": "abort"}[r.Method]
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = append(s.seen, what)
	w.Header().Set("X-Amz-Request-Id", "4711")
	if own := s.answer[what]; own != nil {
		w.Header().Del("X-Amz-Request-Id")
		own(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/xml")
	switch what {
	case "create":
		fmt.Fprintf(w, "<InitiateMultipartUploadResult><UploadId>%s</UploadId></InitiateMultipartUploadResult>", fakeUpload)
	case "part":
		number, _ := strconv.Atoi(query.Get("partNumber"))
		s.parts[number] = body
		digest := md5.Sum(body)
		if r.Header.Get("Content-Md5") != base64.StdEncoding.EncodeToString(digest[:]) {
			s.t.Errorf("part %d has the Content-MD5 %q", number, r.Header.Get("Content-Md5"))
		}
		w.Header().Set("ETag", `"`+hex.EncodeToString(digest[:])+`"`)
	case "list":
		s.list(w, query.Get("part-number-marker"))
	case "complete":
		s.complete()
		fmt.Fprintf(w, "<CompleteMultipartUploadResult><Bucket>b</Bucket><ETag>%q</ETag></CompleteMultipartUploadResult>",
			s.etag())
	case "abort":
		w.WriteHeader(http.StatusNoContent)
	case "stat", "get":
		s.object(w, what)
	default:
		s.t.Errorf("a request that should not be: %s %s", r.Method, r.URL)
	}
}

// etag is that of the whole.
func (s *partServer) etag() string {
	sums := md5.New()
	for _, n := range slices.Sorted(maps.Keys(s.parts)) {
		sum := md5.Sum(s.parts[n])
		sums.Write(sum[:])
	}
	return fmt.Sprintf("%x-%d", sums.Sum(nil), len(s.parts))
}

func (s *partServer) complete() {
	s.whole = nil
	for _, n := range slices.Sorted(maps.Keys(s.parts)) {
		s.whole = append(s.whole, s.parts[n]...)
	}
}

// list answers with at most 2 parts.
func (s *partServer) list(w io.Writer, marker string) {
	type part struct {
		PartNumber int
		ETag       string
		Size       int
	}
	type page struct {
		XMLName              xml.Name `xml:"ListPartsResult"`
		UploadID             string   `xml:"UploadId"`
		IsTruncated          bool
		NextPartNumberMarker int
		Part                 []part
	}
	after, _ := strconv.Atoi(marker)
	p := page{UploadID: fakeUpload}
	for _, n := range slices.Sorted(maps.Keys(s.parts)) {
		if n <= after {
			continue
		}
		if len(p.Part) == 2 {
			p.IsTruncated = true
			break
		}
		digest := md5.Sum(s.parts[n])
		p.Part = append(p.Part, part{n, `"` + hex.EncodeToString(digest[:]) + `"`, len(s.parts[n])})
		p.NextPartNumberMarker = n
	}
	_ = xml.NewEncoder(w).Encode(p)
}

func (s *partServer) object(w http.ResponseWriter, what string) {
	if s.whole == nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	w.Header().Set("ETag", `"`+s.etag()+`"`)
	w.Header().Set("Last-Modified", time.Now().UTC().Format(http.TimeFormat))
	w.Header().Set("Content-Length", strconv.Itoa(len(s.whole)))
	if what == "get" {
		_, _ = w.Write(s.whole)
	}
}

func newPartServer(t *testing.T) (*partServer, *Store) {
	t.Helper()
	s := &partServer{t: t, parts: map[int][]byte{}}
	return s, answering(t, s.ServeHTTP, inSmallParts)
}

// resuming is a ledger of an upload that was cut off.
func resuming() *ledger {
	return &ledger{state: []byte(`{"id":"` + fakeUpload + `","part_size":1000}`)}
}

func TestPartsAreListedByThePage(t *testing.T) {
	t.Parallel()
	server, store := newPartServer(t)
	data := remotetest.Bytes(9500)
	for number := 1; number <= 6; number++ {
		server.parts[number] = data[(number-1)*1000 : number*1000]
	}
	if _, err := putLedger(t.Context(), t, store, remotetest.NewSource(data), resuming()); err != nil {
		t.Fatal(err)
	}
	wantCounts(t, server.requests(), map[string]int{"list": 3, "part": 4, "complete": 1})
	if string(server.whole) != string(data) {
		t.Error("the server has other bytes than were put")
	}
}

func TestListThatDoesNotEnd(t *testing.T) {
	t.Parallel()
	server, store := newPartServer(t)
	for name, page := range map[string]string{
		"the same page again": "<UploadId>" + fakeUpload + "</UploadId><IsTruncated>true</IsTruncated>",
		"another upload":      "<UploadId>other</UploadId>",
		"no upload":           "",
	} {
		server.set("list", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/xml")
			_, _ = io.WriteString(w, "<ListPartsResult>"+page+"</ListPartsResult>")
		})
		l := resuming()
		_, err := putLedger(t.Context(), t, store, remotetest.NewSource(remotetest.Bytes(5000)), l)
		if err == nil || codestory.ClassOf(t.Context(), err) == codestory.ClassBlock || string(l.State()) != string(resuming().State()) {
			t.Errorf("%s: %v, want an error and the ledger as it was", name, err)
		}
	}
}

// TestServerThatListsNoParts: the file is stored all the same, with a new upload.
func TestServerThatListsNoParts(t *testing.T) {
	t.Parallel()
	for name, refusal := range map[string]http.HandlerFunc{
		"not implemented": refusing(501, "NotImplemented", "", ""),
		"denied":          refusing(403, "AccessDenied", "", ""),
	} {
		server, store := newPartServer(t)
		server.set("list", refusal)
		server.set("abort", refusal)
		data := remotetest.Bytes(5000)
		if _, err := putLedger(t.Context(), t, store, remotetest.NewSource(data), resuming()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		wantCounts(t, server.requests(), map[string]int{"list": 1, "abort": 1, "create": 1, "part": 5, "complete": 1})
	}
}

// TestPartsBesideOneThatFails are sent to their end, and not again.
func TestPartsBesideOneThatFails(t *testing.T) {
	t.Parallel()
	server := &partServer{t: t, parts: map[int][]byte{}}
	var begun atomic.Int32
	all, failed := make(chan struct{}), make(chan struct{})
	store := answering(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("partNumber") {
			n := begun.Add(1)
			if n == partsAtOnce {
				close(all)
			}
			if n <= partsAtOnce && r.URL.Query().Get("partNumber") == "1" {
				<-all
				refusing(500, "InternalError", "", "")(w, r)
				close(failed)
				return
			}
			<-failed
		}
		server.ServeHTTP(w, r)
	}, inSmallParts)
	data, l := remotetest.Bytes(9500), &ledger{}
	if _, err := putLedger(t.Context(), t, store, remotetest.NewSource(data), l); err == nil {
		t.Fatal("it was put without its first part")
	}
	first := server.requests()["part"]
	if _, err := putLedger(t.Context(), t, store, remotetest.NewSource(data), l); err != nil {
		t.Fatal(err)
	}
	if again := server.requests()["part"]; first < partsAtOnce-1 || first+again != 10 {
		t.Errorf("%d parts were sent beside the one that failed, then %d, want 10 in all", first, again)
	}
}

// TestLoginPageForAnUpload is a network that wants a login, from some request on.
func TestLoginPageForAnUpload(t *testing.T) {
	t.Parallel()
	pages := map[string]http.HandlerFunc{
		"HTML": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, "<html><body>Welcome! Please log in.</body></html>")
		},
		"HTML with an ETag": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.Header().Set("ETag", `"0123456789abcdef0123456789abcdef"`)
			_, _ = io.WriteString(w, "<html><body>Welcome! Please log in.</body></html>")
		},
		"plain text": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			_, _ = io.WriteString(w, "Welcome! Please log in.")
		},
		"nothing": func(http.ResponseWriter, *http.Request) {},
		"other XML": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/xml")
			_, _ = io.WriteString(w, "<welcome>Please log in.</welcome>")
		},
	}
	from := [][]string{
		{"create", "part", "list", "complete", "stat", "get", "abort"},
		{"part", "list", "complete", "stat", "get", "abort"},
		{"complete", "stat", "get", "abort"},
	}
	for name, page := range pages {
		for _, captive := range from {
			t.Run(captive[0]+" "+name, func(t *testing.T) {
				t.Parallel()
				for _, l := range []*ledger{{}, nil} {
					server, store := newPartServer(t)
					for _, what := range captive {
						server.set(what, page)
					}
					data := remotetest.Bytes(5000)
					var err error
					if l != nil {
						_, err = putLedger(t.Context(), t, store, remotetest.NewSource(data), l)
					} else {
						_, err = putLedger(t.Context(), t, store, remotetest.NewSource(data), nil)
					}
					if err == nil || codestory.ClassOf(t.Context(), err) == codestory.ClassBlock ||
						errors.Is(err, codestory.ErrChanged) || errors.Is(err, codestory.ErrNotFound) {
						t.Errorf("put: %v, want an error to try again", err)
					}
					got := server.requests()
					if got["abort"]+got["delete"] != 0 && l != nil {
						t.Errorf("with a ledger: the server got %v, want no DELETE", got)
					}
					if got["delete"] != 0 {
						t.Errorf("the server got %v, want no DELETE that names no upload", got)
					}
					if strings.HasPrefix(name, "HTML") {
						wantPause(t, err, codestory.RemoteUnavailable, store.Info().Endpoint)
						if got["abort"] != 0 {
							t.Errorf("the server got %v, want no DELETE", got)
						}
					}
				}
			})
		}
	}
}

// TestRefusedComplete: what a server says instead of having completed an upload.
func TestRefusedComplete(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status int
		code   string
		done   bool // though it was
		asked  int  // HEADs
		stored bool
		class  codestory.Class
	}{
		"200 with an error inside":           {200, "InternalError", false, 1, false, codestory.ClassRetry},
		"200 with an error inside, but done": {200, "InternalError", true, 1, true, 0},
		"500":                                {500, "InternalError", false, 1, false, codestory.ClassRetry},
		"503, but done":                      {503, "SlowDown", true, 1, true, 0},
		"504, but done":                      {504, "GatewayTimeout", true, 1, true, 0},
		"no such upload":                     {404, "NoSuchUpload", false, 1, false, codestory.ClassRetry},
		"no such upload, but done":           {404, "NoSuchUpload", true, 1, true, 0},
		"a part is gone":                     {400, "InvalidPart", false, 0, false, codestory.ClassRetry},
		"denied":                             {403, "AccessDenied", false, 0, false, codestory.ClassPause},
		"full":                               {507, "XMinioStorageFull", false, 1, false, codestory.ClassPause},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, store := newPartServer(t)
			server.set("complete", func(w http.ResponseWriter, r *http.Request) {
				if c.done {
					server.complete()
				}
				refusing(c.status, c.code, "", "")(w, r)
			})
			data := remotetest.Bytes(5000)
			l := &ledger{}
			object, err := putLedger(t.Context(), t, store, remotetest.NewSource(data), l)
			if c.stored && (err != nil || object.Size != 5000) {
				t.Errorf("put: %+v, %v, want it stored", object, err)
			}
			if !c.stored && (err == nil || codestory.ClassOf(t.Context(), err) != c.class) {
				t.Errorf("put: %v, want an error of class %v", err, c.class)
			}
			got := server.requests()
			if got["complete"] != 1 || got["stat"] != c.asked || !c.stored && got["abort"] != 0 {
				t.Errorf("the server got %v, want one Complete, %d HEADs and no DELETE unless it is stored", got, c.asked)
			}
		})
	}
}

// TestPartProof: a part, and the whole, are what was sent, or it is no success.
func TestPartProof(t *testing.T) {
	t.Parallel()
	data := remotetest.Bytes(5000)
	const other = "0123456789abcdef0123456789abcdef"
	completed := func(inner string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/xml")
			fmt.Fprintf(w, "<CompleteMultipartUploadResult><Bucket>b</Bucket>%s</CompleteMultipartUploadResult>", inner)
		}
	}
	crc := wholeCRC(t, data)
	for name, c := range map[string]struct {
		part, etag, crc string
		torn            bool
		proved          bool
	}{
		"ETags of another kind, and the content":      {other, other + "-5", "", false, true},
		"ETags of another kind, and other content":    {other, other + "-5", "", true, false},
		"ETags of another kind, and the checksum":     {other, other + "-5", crc, true, true},
		"ETags of another kind, and another checksum": {other, other + "-5", "AAAAAAAAAAA=", false, false},
		"another ETag of the whole, and the content":  {"", other + "-5", "", false, true},
		"another ETag of the whole, other content":    {"", other + "-5", "", true, false},
		"no ETag of the whole":                        {other, "", crc, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, store := newPartServer(t)
			if c.part != "" {
				server.set("part", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("ETag", c.part) })
			}
			inner := "<ChecksumCRC64NVME>" + c.crc + "</ChecksumCRC64NVME>"
			if c.etag != "" {
				inner += "<ETag>" + c.etag + "</ETag>"
			}
			server.set("complete", completed(inner))
			server.set("get", func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("ETag", c.etag)
				w.Header().Set("Last-Modified", time.Now().UTC().Format(http.TimeFormat))
				content := data
				if c.torn {
					content = slices.Concat(data[:4999], []byte{data[4999] + 1})
				}
				_, _ = w.Write(content)
			})
			object, err := putLedger(t.Context(), t, store, remotetest.NewSource(data), &ledger{})
			if c.proved != (err == nil) || err != nil && codestory.ClassOf(t.Context(), err) == codestory.ClassBlock {
				t.Errorf("put: %+v, %v, want it proved: %t", object, err, c.proved)
			}
		})
	}
	for name, answer := range map[string]http.HandlerFunc{
		"a part without an ETag": func(http.ResponseWriter, *http.Request) {},
		"a part with another checksum": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("ETag", other)
			w.Header().Set("X-Amz-Checksum-Crc64nvme", "AAAAAAAAAAA=")
		},
	} {
		server, store := newPartServer(t)
		server.set("part", answer)
		l := &ledger{}
		if object, err := putLedger(t.Context(), t, store, remotetest.NewSource(data), l); err == nil {
			t.Errorf("%s: %+v", name, object)
		}
		if server.requests()["complete"] != 0 {
			t.Errorf("%s: it was completed", name)
		}
	}
}

func wholeCRC(t *testing.T, data []byte) string {
	t.Helper()
	_, crc, err := digest(t.Context(), remotetest.NewSource(data))
	if err != nil {
		t.Fatal(err)
	}
	return crc
}

// TestUploadThatFallsSilent: a server that takes the beginning of a part, and that was it.
func TestUploadThatFallsSilent(t *testing.T) {
	t.Parallel()
	released := make(chan struct{})
	defer close(released)
	store := answering(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			w.Header().Set("Content-Type", "application/xml")
			_, _ = io.WriteString(w, "<InitiateMultipartUploadResult><UploadId>x</UploadId></InitiateMultipartUploadResult>")
			return
		}
		_, _ = io.CopyN(io.Discard, r.Body, 10)
		<-released
	}, func(o *Options) {
		inParts(o)
		o.stall = 300 * time.Millisecond
	})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	_, err := putLedger(ctx, t, store, remotetest.NewSource(remotetest.Bytes(3*testPart)), &ledger{})
	if !errors.Is(err, errStalled) || codestory.ClassOf(ctx, err) != codestory.ClassRetry {
		t.Errorf("put: %v, want a stall that is tried again", err)
	}
}
