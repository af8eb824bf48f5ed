package codestory

import "encoding/json"

// Owner is whose a story is. The zero value is an owner that is not known, which is nobody: not even the daemon's own
// user, who is OwnedBy(""). In JSON it is the user, or null.
type Owner struct {
	user  string
	known bool
}

// OwnedBy is the owner that is that user; "" is the daemon's own.
func OwnedBy(user string) Owner { return Owner{user, true} }

// Known reports whether it is known whose the story is.
func (o Owner) Known() bool { return o.known }

// Is reports whether the owner is known to be that user.
func (o Owner) Is(user string) bool { return o.known && o.user == user }

// Text is a text that no other owner has: "" if the owner is not known, else "=" and the user.
func (o Owner) Text() string {
	if !o.known {
		return ""
	}
	return "=" + o.user
}

func (o Owner) String() string {
	if !o.known {
		return "not known"
	}
	return o.user
}

// MarshalJSON writes the user, or null.
func (o Owner) MarshalJSON() ([]byte, error) {
	if !o.known {
		return []byte("null"), nil
	}
	return json.Marshal(o.user)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (o *Owner) UnmarshalJSON(b []byte) error {
	*o = Owner{}
	if string(b) == "null" {
		return nil
	}
	o.known = true
	return json.Unmarshal(b, &o.user)
}
