package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"
)

func (c *cli) serveCommand() *cobra.Command {
	return &cobra.Command{
		Use: "serve", Short: "Run the server", Args: noArgs,
		Long: `Runs the server until SIGTERM, which lets transactions finish for up to 30 seconds.
SIGHUP reads certificate files anew, and tells in the log which changes of the configuration
wait for a restart. Sockets may come from systemd; readiness is told to it.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.serve(cmd.Context()) },
	}
}

// serve gives up what it needs no more as soon as it can: the ports are bound as
// root, the data folder is opened as the server's user, and the rest of the file
// system is closed before the first byte from outside is read.
func (c *cli) serve(ctx context.Context) error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	log := newLogger(c.err, cfg.Log)
	if err := noCoreDumps(); err != nil {
		log.Warn("core dumps are possible", "error", err)
	}
	deps := defaultDeps(log)
	if deps.Listeners, err = listen(&cfg); err != nil {
		return err
	}
	if err := dropRoot(cfg.User, cfg.Data); err != nil {
		deps.Listeners.close()
		return err
	}
	d, err := New(cfg, deps)
	if err != nil {
		return err
	}
	file, _ := c.configFile() // load has found it
	if err := confine(cfg, file); err != nil {
		log.Warn("files are not confined", "error", err)
	}
	return runDaemon(ctx, d, log, func() { c.reload(d, log) })
}

// runDaemon runs d and tells systemd what happens. SIGHUP calls reload.
func runDaemon(ctx context.Context, d *Daemon, log *slog.Logger, reload func()) error {
	defer spareProcs()()
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	ended, end := context.WithCancel(ctx)
	defer end()
	reloader := make(chan struct{})
	go func() {
		defer close(reloader)
		for {
			select {
			case <-ended.Done():
				return
			case <-hup:
				notify(log, daemon.SdNotifyReloading)
				reload()
				notify(log, daemon.SdNotifyReady)
			}
		}
	}()
	defer context.AfterFunc(ctx, func() { notify(log, daemon.SdNotifyStopping) })()
	notify(log, daemon.SdNotifyReady)
	err := d.Run(ctx)
	end()
	<-reloader
	return err
}

// reload is what SIGHUP does: certificate files are taken over, and what else the configuration says by
// now is only told, since a server that is half old and half new is hard to understand.
func (c *cli) reload(d *Daemon, log *slog.Logger) {
	if err := d.Reload(); err != nil {
		log.Error("certificate files not read: the old certificates stay", "error", err)
	} else {
		log.Info("reloaded", "certificate_files", len(d.cfg.TLS.Files))
	}
	cfg, err := c.load()
	if err != nil {
		log.Error("configuration not read: all goes on as before, and a restart would fail", "error", err)
	} else if changed := changedKeys(d.cfg, cfg); len(changed) > 0 {
		log.Warn("the configuration has changed: restart to take it over", "keys", changed)
	}
}

// notify tells systemd; without systemd it does nothing.
func notify(log *slog.Logger, state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		log.Warn("systemd not told", "state", state, "error", err)
	}
}

func (c *cli) configCommand() *cobra.Command {
	check := &cobra.Command{
		Use: "check [FILE]", Short: "Read the configuration and the files that it names", Args: args(cobra.MaximumNArgs(1)),
		RunE: func(_ *cobra.Command, a []string) error {
			file := first(a)
			if file == "" {
				var err error
				if file, err = c.configFile(); err != nil {
					return &exitError{exitUsage, err}
				}
			}
			if _, err := os.Stat(file); err != nil {
				return &exitError{exitNotFound, fmt.Errorf("read configuration: %w", err)}
			}
			problems := []string{}
			cfg, err := LoadConfig(file)
			if err == nil {
				err = cfg.checkFiles()
			}
			if err != nil {
				problems = strings.Split(err.Error(), "\n")
			}
			err = c.show(struct {
				File     string   `json:"file"`
				Problems []string `json:"problems"`
			}{file, problems}, func(w io.Writer) {
				for _, p := range problems {
					fmt.Fprintln(w, p)
				}
				if len(problems) == 0 {
					fmt.Fprintf(w, "%s: no problems\n", file)
				}
			})
			if err == nil && len(problems) > 0 {
				err = &exitError{exitProblems, nil}
			}
			return err
		},
	}
	keys := &cobra.Command{
		Use: "keys", Short: "List all keys of the configuration", Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			list := allConfigKeys()
			return c.show(list, func(w io.Writer) {
				for _, k := range list {
					fmt.Fprintln(w, k)
				}
			})
		},
	}
	template := &cobra.Command{
		Use: "template", Short: "Print a commented configuration with all defaults", Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			return c.show(string(configTemplate), func(w io.Writer) { w.Write(configTemplate) })
		},
	}
	return parent("config", "Check the configuration file", check, keys, template)
}
