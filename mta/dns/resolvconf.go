package dns

import (
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"time"

	mdns "github.com/miekg/dns"
)

// resolvConf reads the name servers of the system again when their file has changed.
type resolvConf struct {
	path string
	now  func() time.Time
	log  *slog.Logger

	mu      sync.Mutex
	looked  time.Time // when the file was last looked at
	changed time.Time // its modification time then
	size    int64
	list    []netip.AddrPort
}

func newResolvConf(path string, now func() time.Time, log *slog.Logger) *resolvConf {
	return &resolvConf{path: path, now: now, log: log}
}

// servers never returns an empty list: without any, it is the server on this machine (resolv.conf(5)).
func (rc *resolvConf) servers() []netip.AddrPort {
	rc.mu.Lock()
	defer rc.mu.Unlock()
	if rc.list != nil && rc.now().Sub(rc.looked) < 5*time.Second {
		return rc.list
	}
	rc.looked = rc.now()
	info, err := os.Stat(rc.path)
	if err == nil && rc.list != nil && info.ModTime().Equal(rc.changed) && info.Size() == rc.size {
		return rc.list
	}
	var list []netip.AddrPort
	if err == nil {
		rc.changed, rc.size = info.ModTime(), info.Size()
		list, err = readResolvConf(rc.path)
	}
	switch {
	case err != nil && rc.list != nil:
		// Caught while it is being replaced: those we know are better than none.
		rc.log.Warn("reading the name servers failed, keeping those we have", "file", rc.path, "error", err)
		return rc.list
	case err != nil:
		rc.log.Warn("reading the name servers failed, asking this machine", "file", rc.path, "error", err)
	}
	if len(list) == 0 {
		list = []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:53"), netip.MustParseAddrPort("[::1]:53")}
	}
	rc.list = list
	return list
}

func readResolvConf(path string) ([]netip.AddrPort, error) {
	conf, err := mdns.ClientConfigFromFile(path)
	if err != nil {
		return nil, err
	}
	port, err := strconv.ParseUint(conf.Port, 10, 16)
	if err != nil {
		return nil, err
	}
	var list []netip.AddrPort
	for _, s := range conf.Servers {
		if addr, err := netip.ParseAddr(s); err == nil {
			list = append(list, netip.AddrPortFrom(addr, uint16(port)))
		} else if ap, err := netip.ParseAddrPort(net.JoinHostPort(s, conf.Port)); err == nil {
			list = append(list, ap)
		}
	}
	return list, nil
}
