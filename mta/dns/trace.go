package dns

import (
	"context"
	"fmt"
	"sync"

	mdns "github.com/miekg/dns"
)

// Lookup is one question and its outcome, for "facteur check".
type Lookup struct {
	Name, Type string
	Records    []string
	Err        string
	Cached     bool
}

type traceKey struct{}

// WithTrace returns a context under which every look-up is told to trace, one after the other.
func WithTrace(ctx context.Context, trace func(Lookup)) context.Context {
	var mu sync.Mutex
	return context.WithValue(ctx, traceKey{}, func(l Lookup) {
		mu.Lock()
		defer mu.Unlock()
		trace(l)
	})
}

func traceLookup[T any](ctx context.Context, name string, qtype uint16, records []T, cached bool, err error) {
	trace, ok := ctx.Value(traceKey{}).(func(Lookup))
	if !ok {
		return
	}
	l := Lookup{Name: name, Type: mdns.TypeToString[qtype], Cached: cached}
	for _, rec := range records {
		if mx, ok := any(rec).(MX); ok {
			l.Records = append(l.Records, fmt.Sprintf("%d %s.", mx.Preference, mx.Host))
		} else {
			l.Records = append(l.Records, fmt.Sprint(rec))
		}
	}
	if err != nil {
		l.Err = err.Error()
	}
	trace(l)
}
