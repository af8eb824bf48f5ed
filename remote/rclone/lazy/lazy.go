// Package lazy keeps rclone, which every build of the daemon contains, from touching the disk of a user who does not use it.
//
// When rclone is initialized and finds no configuration, it makes its folder in the user's configuration folder. It does
// not if RCLONE_CONFIG is set, also to nothing, which has no other effect then. So this package, which needs nothing but os and
// whose path sorts before rclone's, is initialized first (Go specification, "Program initialization") and sets it.
package lazy

import "os"

const variable = "RCLONE_CONFIG"

var set = setVariable()

func setVariable() bool {
	if _, isSet := os.LookupEnv(variable); isSet {
		return false
	}
	return os.Setenv(variable, "") == nil
}

// Restore makes the environment what it was, for rclone's own use of it and for commands that it runs. Call it once rclone
// is initialized.
func Restore() {
	if set && os.Getenv(variable) == "" {
		_ = os.Unsetenv(variable)
	}
}
