package storage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// notifier reads what inotify(7) tells of folders. Nearly all of it is of our own making, thousands of events when many
// flags change, so what counts is how little one costs: they stay in the kernel for settleNews after the
// first, nobody being woken, and are then read by the buffer. (A reader that is woken for each takes as much CPU as the
// renames themselves.) The kernel keeps 16,384, several times what a folder can have in that time.
type notifier struct {
	fd   int
	stop int // an eventfd, readable once the notifier is to end
	news chan []event

	mu     sync.RWMutex // held while fd is used by others than run
	closed bool
}

// event is a name that has come into a folder or gone from it, or whose file was written to or given another owner.
type event struct {
	watch int32
	name  string
	there bool
	wrote bool // a program that wrote to the file has closed it
	lost  bool // instead of all else: events were lost
	ended bool // instead of a name: the folder is not watched any more, or has another name now
}

// newNotifier returns a notifier whose news are read by run.
func newNotifier() (*notifier, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("inotify_init: %w", err)
	}
	stop, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	return &notifier{fd: fd, stop: stop, news: make(chan []event)}, nil
}

// close ends run, which has been started, and waits for it.
func (n *notifier) close() {
	_, _ = unix.Write(n.stop, binary.NativeEndian.AppendUint64(nil, 1)) // never fails on an eventfd of ours
	for range n.news {
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed = true
	unix.Close(n.fd)
	unix.Close(n.stop)
}

// add watches a folder and returns the number that its events carry: the same again, if it is watched already.
func (n *notifier) add(dir string) (watch int32, err error) {
	return n.watch(dir, arrives|unix.IN_DELETE|unix.IN_MOVED_FROM)
}

// calm makes a watch tell no more of names that come and go, until add is called again. An event costs a
// rename a tenth of its time, though nobody reads it.
func (n *notifier) calm(dir string) error {
	_, err := n.watch(dir, unix.IN_CLOSE_WRITE|unix.IN_ATTRIB)
	return err
}

func (n *notifier) watch(dir string, what uint32) (int32, error) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	if n.closed {
		return 0, os.ErrClosed
	}
	w, err := unix.InotifyAddWatch(n.fd, dir, what|unix.IN_MOVE_SELF|unix.IN_ONLYDIR)
	return int32(w), err
}

// arrives is what leaves a file where it is. Our own files are written in tmp, where nobody watches.
const arrives = unix.IN_CREATE | unix.IN_MOVED_TO | unix.IN_CLOSE_WRITE | unix.IN_ATTRIB

// remove ends a watch. An error would mean that the system has done so already, with the folder.
func (n *notifier) remove(watch int32) { _, _ = unix.InotifyRmWatch(n.fd, uint32(watch)) }

// run hands out news until close is called. It waits in poll(2) and not with Go's poller, which would be
// woken for each event also while nobody wants to read.
func (n *notifier) run() error {
	defer close(n.news)
	buf := make([]byte, 64<<10)
	for {
		ready := []unix.PollFd{{Fd: int32(n.stop), Events: unix.POLLIN}, {Fd: int32(n.fd), Events: unix.POLLIN}}
		if _, err := unix.Poll(ready, -1); err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("poll: %w", err)
		}
		if ready[0].Revents == 0 && ready[1].Revents == 0 {
			continue
		}
		if k, _ := unix.Poll(ready[:1], int(settleNews.Milliseconds())); k > 0 {
			return nil
		}
		news, err := n.read(buf)
		if err != nil {
			return err
		}
		n.news <- news
	}
}

// read takes all the events that wait.
func (n *notifier) read(buf []byte) (news []event, err error) {
	for {
		size, err := unix.Read(n.fd, buf)
		switch {
		case err == nil:
			news = appendEvents(news, buf[:size])
		case errors.Is(err, unix.EAGAIN):
			return news, nil
		case !errors.Is(err, unix.EINTR):
			return news, fmt.Errorf("read events: %w", err)
		}
	}
}

// appendEvents takes apart what a read gave. Each event is the watch, what happened, a number that pairs the two of a
// rename, the length of the name, and the name, filled up with NULs.
func appendEvents(news []event, p []byte) []event {
	text := string(p) // of all names
	for at := 0; at+unix.SizeofInotifyEvent <= len(p); {
		mask, length := binary.NativeEndian.Uint32(p[at+4:]), int(binary.NativeEndian.Uint32(p[at+12:]))
		name := at + unix.SizeofInotifyEvent
		news = append(news, event{
			watch: int32(binary.NativeEndian.Uint32(p[at:])),
			name:  strings.TrimRight(text[name:name+length], "\x00"),
			there: mask&arrives != 0,
			wrote: mask&unix.IN_CLOSE_WRITE != 0,
			lost:  mask&unix.IN_Q_OVERFLOW != 0,
			ended: mask&(unix.IN_IGNORED|unix.IN_MOVE_SELF) != 0,
		})
		at = name + length
	}
	return news
}
