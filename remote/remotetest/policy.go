package remotetest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// Policy decides what a MinIO lets its clients do, its owner too, and may change its mind.
type Policy struct {
	url string

	mu     sync.Mutex
	denied func(action, bucket string) bool
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

func (p *Policy) decide(w http.ResponseWriter, r *http.Request) {
	var question struct {
		Input struct{ Action, Bucket string }
	}
	if json.NewDecoder(r.Body).Decode(&question) != nil { // it asks nothing when it starts
		return
	}
	p.mu.Lock()
	denied := p.denied
	p.mu.Unlock()
	allow := denied == nil || !denied(question.Input.Action, question.Input.Bucket)
	fmt.Fprintf(w, `{"result": %t}`, allow)
}
