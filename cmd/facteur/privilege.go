package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/landlock-lsm/go-landlock/landlock"
	"golang.org/x/sys/unix"
)

// What the process gives up: root, core dumps, and the files that
// are none of its business.

// dropRoot becomes the user name when we are root, for good, and gives the data
// folder to it. Ports are bound before.
func dropRoot(name, data string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	uid, gid, err := serverUser(name, data)
	if err != nil {
		return err
	}
	if err := giveTo(data, uid, gid); err != nil {
		return err
	}
	return become(uid, gid)
}

// serverUser looks up whom root becomes to serve.
func serverUser(name, data string) (uid, gid int, err error) {
	if name == "" {
		return 0, 0, errors.New("the server does not run as root: user in the configuration is empty, and has to name whom to become")
	}
	u, err := user.Lookup(name)
	if err != nil {
		return 0, 0, fmt.Errorf("the server does not run as root, and there is no user %q to become: \"useradd --system --home-dir %s --shell /usr/sbin/nologin %s\" makes it: %w", name, data, name, err)
	}
	if uid, gid, err = ids(u); err == nil && uid == 0 {
		err = fmt.Errorf("the server does not run as root: user in the configuration is %q", name)
	}
	return uid, gid, err
}

// becomeOwner becomes the owner of the data folder when we are root: files that a
// verb makes there are then the server's.
func becomeOwner(dir string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return fmt.Errorf("data folder %s: %w", dir, err)
	}
	if st.Uid == 0 {
		return ownFolder(dir) // what is opened now is given to the server's user later
	}
	return become(int(st.Uid), int(st.Gid))
}

// ownFolder refuses a folder with other things in it: after a slip such as data = "/var", root would make all
// files of the machine the server's.
func ownFolder(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("data folder: %w", err)
	}
	foreign := ""
	for _, e := range entries {
		switch e.Name() {
		case "server.db":
			return nil // it has been opened before
		case "lost+found": // a file system of its own
		default:
			foreign = e.Name()
		}
	}
	if foreign != "" {
		return fmt.Errorf("data folder %s holds %q and no server.db, so it is none of Facteur's: name one that is empty or not there yet", dir, foreign)
	}
	return nil
}

// whose adds to the error of a data folder that we may not open whom it belongs to.
func whose(dir string, err error) error {
	var st unix.Stat_t
	if !errors.Is(err, fs.ErrPermission) || unix.Stat(dir, &st) != nil {
		return err
	}
	name := func(uid int) string {
		if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
			return u.Username
		}
		return strconv.Itoa(uid)
	}
	return fmt.Errorf("%w: the folder belongs to user %s, and this process is run by %s: put \"sudo\" or \"sudo -u %[2]s\" before it", err, name(int(st.Uid)), name(os.Geteuid()))
}

func ids(u *user.User) (uid, gid int, err error) {
	uid, err1 := strconv.Atoi(u.Uid)
	gid, err2 := strconv.Atoi(u.Gid)
	return uid, gid, errors.Join(err1, err2)
}

// become changes all three user and group ids on every thread, and checks that there
// is no way back.
func become(uid, gid int) error {
	if err := syscall.Setgroups([]int{gid}); err != nil {
		return fmt.Errorf("setgroups: %w", err)
	}
	if err := syscall.Setresgid(gid, gid, gid); err != nil {
		return fmt.Errorf("setresgid: %w", err)
	}
	if err := syscall.Setresuid(uid, uid, uid); err != nil {
		return fmt.Errorf("setresuid: %w", err)
	}
	if syscall.Setuid(0) == nil || os.Getuid() != uid || os.Geteuid() != uid || os.Getegid() != gid {
		return errors.New("root was not given up")
	}
	return nil
}

// giveTo makes a new or root's data folder the user's. One that another user owns is
// left alone: opening it will say why it fails.
func giveTo(dir string, uid, gid int) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("data folder: %w", err)
	}
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return fmt.Errorf("data folder %s: %w", dir, err)
	}
	if st.Uid != 0 {
		return nil
	}
	if err := ownFolder(dir); err != nil {
		return err
	}
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, uid, gid)
	})
	if err != nil {
		return fmt.Errorf("give data folder to the server's user: %w", err)
	}
	return nil
}

// noCoreDumps keeps keys and mail out of core files and debuggers.
func noCoreDumps() error {
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("forbid core dumps: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("forbid core dumps: %w", err)
	}
	return nil
}

// confine takes away all files but those the server needs, where the kernel can
// (Landlock). Renames between folders of the data folder need WithRefer.
func confine(cfg Config, configFile string) error {
	readable := []string{
		"/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/host.conf", "/etc/localtime",
		"/etc/ssl", "/etc/pki", "/etc/ca-certificates", "/usr/share/ca-certificates", "/usr/local/share/ca-certificates",
		"/usr/share/zoneinfo", "/run/systemd/resolve", "/proc/self", "/proc/sys/net",
	}
	for _, p := range cfg.paths() {
		if *p != "" && *p != cfg.Data {
			readable = append(readable, folders(*p)...)
		}
	}
	if configFile != "" {
		readable = append(readable, folders(configFile)...)
	}
	var rules []landlock.Rule
	for _, path := range readable {
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			rules = append(rules, landlock.RODirs(path))
		} else if err == nil {
			rules = append(rules, landlock.ROFiles(path))
		}
	}
	rules = append(rules, landlock.RWFiles("/dev/null").IgnoreIfMissing(), landlock.RODirs("/dev").IgnoreIfMissing(),
		landlock.RWDirs(cfg.Data).WithRefer())
	if err := landlock.V3.BestEffort().RestrictPaths(rules...); err != nil {
		return fmt.Errorf("confine to the data folder: %w", err)
	}
	return nil
}

// folders are those a file is read from: its own and, behind a symbolic link, the one it leads
// to. certbot's live/NAME/*.pem are links into archive/NAME.
func folders(file string) []string {
	list := []string{filepath.Dir(file)}
	if target, err := filepath.EvalSymlinks(file); err == nil && filepath.Dir(target) != list[0] {
		list = append(list, filepath.Dir(target))
	}
	return list
}
