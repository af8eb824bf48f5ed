package api

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
)

// parseQuery reads the request's query, in which no parameter may stand twice. Its error is a *Problem.
func parseQuery(r *http.Request) (url.Values, error) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, badRequest("invalid_parameter", "the query is not encoded as a query should be")
	}
	for name, values := range q {
		if len(values) > 1 {
			return nil, badRequest("invalid_parameter", fmt.Sprintf("parameter %q is there more than once", name))
		}
	}
	return q, nil
}

// intParam is the whole number that a parameter holds, and fallback where it is absent. Its error is a *Problem.
func intParam(q url.Values, name string, fallback, least, most uint64) (uint64, error) {
	if !q.Has(name) {
		return fallback, nil
	}
	n, err := strconv.ParseUint(q.Get(name), 10, 64)
	if err != nil || n < least || n > most {
		return 0, badRequest("invalid_parameter", fmt.Sprintf("%s has to be a whole number from %d to %d", name,
			least, most))
	}
	return n, nil
}

// flagParam reports whether a parameter is 1; it may be 0 or absent otherwise. Its error is a *Problem.
func flagParam(q url.Values, name string) (bool, error) {
	switch v := q.Get(name); {
	case v == "1":
		return true, nil
	case v == "0" || !q.Has(name):
		return false, nil
	default:
		return false, badRequest("invalid_parameter", name+" has to be 1 or 0")
	}
}
