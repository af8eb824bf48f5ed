package s3

import (
	"os"
	"testing"
)

// TestMain keeps tests from asking the network of a cloud, if they run in one, for this machine's role.
func TestMain(m *testing.M) {
	os.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	os.Exit(m.Run())
}
