package dns

import (
	"context"
	"sync"
)

// flights lets look-ups of the same question share one exchange. The exchange is given up when
// the last of those who wait for it has gone.
type flights struct {
	mu  sync.Mutex
	run map[question]*flight
}

type flight struct {
	waiting int
	cancel  context.CancelFunc
	done    chan struct{} // closed when found and err are set
	found   found
	err     error
}

func (fs *flights) do(ctx context.Context, q question, resolve func(context.Context, question) (found, error)) (found, error) {
	fs.mu.Lock()
	f := fs.run[q]
	if f == nil {
		f = fs.start(ctx, q, resolve)
	}
	f.waiting++
	fs.mu.Unlock()

	select {
	case <-f.done:
		return f.found, f.err
	case <-ctx.Done():
	}
	fs.mu.Lock()
	defer fs.mu.Unlock()
	f.waiting--
	if f.waiting == 0 {
		f.cancel()
		// Who comes now needs an exchange that lives.
		if fs.run[q] == f {
			delete(fs.run, q)
		}
	}
	return found{}, ctx.Err()
}

// start begins an exchange; fs.mu is held.
func (fs *flights) start(ctx context.Context, q question, resolve func(context.Context, question) (found, error)) *flight {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	f := &flight{cancel: cancel, done: make(chan struct{})}
	if fs.run == nil {
		fs.run = make(map[question]*flight)
	}
	fs.run[q] = f
	go func() {
		f.found, f.err = resolve(ctx, q)
		cancel()
		fs.mu.Lock()
		if fs.run[q] == f {
			delete(fs.run, q)
		}
		fs.mu.Unlock()
		close(f.done)
	}()
	return f
}
