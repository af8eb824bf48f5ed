package s3

import (
	"net/http"
	"testing"
	"time"

	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/sse"

	"github.com/codestory/codestoryd/remote/remotetest"
)

func kmsEncryption() *sse.Configuration { return sse.NewConfigurationSSEKMS("test") }

// assumeRole gets temporary credentials for all that the server's owner may and the policy allows; "" is no policy.
func assumeRole(t *testing.T, server *remotetest.Server, policy string) credentials.Value {
	t.Helper()
	role, err := credentials.NewSTSAssumeRole(server.Endpoint, credentials.STSAssumeRoleOptions{
		AccessKey: server.AccessKey, SecretKey: server.SecretKey, DurationSeconds: 900, Policy: policy,
	})
	if err != nil {
		t.Fatal(err)
	}
	value, err := role.GetWithContext(&credentials.CredContext{Client: http.DefaultClient})
	if err != nil || value.SessionToken == "" {
		t.Fatalf("temporary credentials: %v", err)
	}
	return value
}

// ending is a provider of credentials that are good until then.
type ending time.Time

func endingCredentials(end time.Time) *credentials.Credentials { return credentials.New(ending(end)) }

func (e ending) Retrieve() (credentials.Value, error) { return e.RetrieveWithCredContext(nil) }

func (e ending) RetrieveWithCredContext(*credentials.CredContext) (credentials.Value, error) {
	return credentials.Value{
		AccessKeyID: "key", SecretAccessKey: "secret", SignerType: credentials.SignatureV4, Expiration: time.Time(e),
	}, nil
}

func (e ending) IsExpired() bool { return time.Now().After(time.Time(e)) }
