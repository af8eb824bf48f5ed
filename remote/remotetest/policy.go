package remotetest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

// Policy decides what a MinIO lets its clients do, its owner too, and may change its mind.
type Policy struct {
	url string

	mu     sync.Mutex // guards what follows
	denied func(action, bucket string) bool
	asked  bool
}

// NewPolicy makes a policy that denies nothing. It ends with the test.
func NewPolicy(t testing.TB) *Policy {
	p := &Policy{}
	server := httptest.NewServer(http.HandlerFunc(p.decide))
	t.Cleanup(server.Close)
	p.url = server.URL
	return p
}

// Env is what makes a MinIO ask the policy (its "access management plugin").
func (p *Policy) Env() []string { return []string{"MINIO_POLICY_PLUGIN_URL=" + p.url} }

// Deny denies what denied says from now on: actions have the names that S3's policies give to them. nil is nothing.
func (p *Policy) Deny(denied func(action, bucket string) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.denied = denied
}

// Await returns once the MinIO asks the policy: for a moment after its start it lets its owner do everything.
func (p *Policy) Await(t testing.TB, server *Server) {
	t.Helper()
	for begun := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		if _, err := server.client.BucketExists(t.Context(), "any"); err != nil {
			t.Logf("before the policy is in force: %v", err)
		}
		p.mu.Lock()
		asked := p.asked
		p.mu.Unlock()
		if asked {
			return
		}
		if time.Since(begun) > time.Minute {
			t.Fatal("MinIO does not ask the policy")
		}
	}
}

func (p *Policy) decide(w http.ResponseWriter, r *http.Request) {
	var question struct {
		Input struct{ Action, Bucket string }
	}
	if json.NewDecoder(r.Body).Decode(&question) != nil { // it asks nothing when it starts
		return
	}
	p.mu.Lock()
	denied := p.denied
	p.asked = true
	p.mu.Unlock()
	allow := denied == nil || !denied(question.Input.Action, question.Input.Bucket)
	fmt.Fprintf(w, `{"result": %t}`, allow)
}
