package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"facteur/admin"
)

// Exit codes; doc.go and "facteur help exit-codes" explain them.
const (
	exitOK = iota
	exitFailed
	exitUsage
	exitNotFound
	exitExists
	exitBusy
	exitProblems
	exitRefused
)

// exitError is an error with an exit code of its own; with a nil err nothing is printed.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}
func (e *exitError) Unwrap() error { return e.err }

// usage makes an error one of wrong usage.
func usage(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...)}
}

// cli is what all verbs share.
type cli struct {
	in       io.Reader
	out, err io.Writer
	config   string // file; empty: looked for
	data     string // folder; empty: the configuration's
	json     bool
}

// run is the command line from its arguments to its exit code.
func run(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	c := &cli{in: in, out: out, err: errOut}
	root := c.root()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errOut)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	if silent := (*exitError)(nil); !errors.As(err, &silent) || silent.err != nil {
		fmt.Fprintf(errOut, "facteur: %v\n", err)
	}
	return exitCode(err)
}

func exitCode(err error) int {
	var coded *exitError
	switch {
	case errors.As(err, &coded):
		return coded.code
	case errors.Is(err, admin.ErrLocked):
		return exitBusy
	}
	switch admin.Kind(err) {
	case admin.ErrNotFound:
		return exitNotFound
	case admin.ErrExists:
		return exitExists
	case admin.ErrInvalid:
		return exitUsage
	case admin.ErrStopped:
		return exitBusy
	}
	return exitFailed
}

func (c *cli) root() *cobra.Command {
	root := &cobra.Command{
		Use:           "facteur",
		Short:         "A whole mail server for a personal domain",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return noCommand(cmd, args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	// What has commands below it is not called by itself.
	root.SetUsageTemplate(strings.Replace(root.UsageTemplate(), "{{if .Runnable}}", "{{if not .HasAvailableSubCommands}}", 1))
	root.PersistentFlags().StringVarP(&c.config, "config", "c", "", "configuration `file` (default: $FACTEUR_CONFIG, ./facteur.toml, /etc/facteur/facteur.toml)")
	root.PersistentFlags().StringVar(&c.data, "data", "", "data `folder`, instead of the configuration's")
	root.PersistentFlags().BoolVar(&c.json, "json", false, "print JSON")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		text, _, _ := strings.Cut(err.Error(), ": strconv.") // what Go calls the failure helps nobody
		return usage("%s; see \"%s --help\"", text, cmd.CommandPath())
	})
	root.Version = buildVersion()
	root.SetVersionTemplate("facteur {{.Version}}\n")
	root.AddGroup(
		&cobra.Group{ID: "run", Title: "Run:"},
		&cobra.Group{ID: "manage", Title: "Manage:"},
		&cobra.Group{ID: "look", Title: "Look and try:"},
	)
	group := func(id string, commands ...*cobra.Command) {
		for _, cmd := range commands {
			cmd.GroupID = id
		}
		root.AddCommand(commands...)
	}
	group("run", c.serveCommand(), c.demoCommand(), c.quickstartCommand(), c.configCommand())
	group("manage", c.accountCommand(), c.appPasswordCommand(), c.domainCommand(), c.aliasCommand(),
		c.dkimCommand(), c.queueCommand(), c.mailboxCommand(), c.migrateCommand(), c.backupCommand())
	group("look", c.verifyCommand(), c.explainCommand(), c.checkCommand(), c.mxCommand(), c.sendCommand(),
		c.tlsCommand(), c.completionCommand(), c.versionCommand())
	root.AddCommand(exitCodesTopic())
	root.SetHelpCommand(helpCommand(root))
	root.SetHelpCommandGroupID("look")
	return root
}

// helpCommand is cobra's, but help for what is not there is an error.
func helpCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use: "help [COMMAND]", Short: "Tell what a command does and which flags it has",
		RunE: func(_ *cobra.Command, a []string) error {
			cmd, rest, err := root.Find(a)
			if err != nil || len(rest) > 0 {
				return noCommand(cmd, a[len(a)-max(len(rest), 1)])
			}
			return cmd.Help()
		},
	}
}

// completionCommand stands in for cobra's, which takes the name of a shell that it doesn't know for a call for help.
func (c *cli) completionCommand() *cobra.Command {
	shell := func(name string, write func(root *cobra.Command) error) *cobra.Command {
		return &cobra.Command{
			Use: name, Short: "For " + name, Args: noArgs,
			RunE: func(cmd *cobra.Command, _ []string) error { return write(cmd.Root()) },
		}
	}
	cmd := parent("completion", "Print the script that completes commands in a shell",
		shell("bash", func(root *cobra.Command) error { return root.GenBashCompletionV2(c.out, true) }),
		shell("zsh", func(root *cobra.Command) error { return root.GenZshCompletion(c.out) }),
		shell("fish", func(root *cobra.Command) error { return root.GenFishCompletion(c.out, true) }),
		shell("powershell", func(root *cobra.Command) error { return root.GenPowerShellCompletionWithDesc(c.out) }))
	cmd.Example = "  source <(facteur completion bash)"
	return cmd
}

// noCommand is the error for a word that is no command below cmd.
func noCommand(cmd *cobra.Command, word string) error {
	hint := ""
	cmd.SuggestionsMinimumDistance = 2 // letters that may be wrong
	if near := cmd.SuggestionsFor(word); len(near) > 0 {
		hint = fmt.Sprintf(" (did you mean %q?)", near[0])
	}
	return usage("%q has no command %q%s; see \"%s --help\"", cmd.CommandPath(), word, hint, cmd.CommandPath())
}

// exitCodesTopic is "facteur help exit-codes".
func exitCodesTopic() *cobra.Command {
	return &cobra.Command{
		Use:   "exit-codes",
		Short: "What the exit codes mean",
		Long: `0  done
1  it failed
2  wrong usage or configuration
3  there is no such thing
4  it exists already
5  the data folder is in use, or a running server is needed
6  problems were found (verify, mailbox verify, config check, domain check, mx)
7  the message would be or was refused (check, send, migrate)`,
	}
}

// parent makes a command that only has commands below it.
func parent(use, short string, below ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage("%q needs one of its commands; see \"%s --help\"", cmd.CommandPath(), cmd.CommandPath())
			}
			return noCommand(cmd, args[0])
		},
		RunE: func(*cobra.Command, []string) error { return nil },
	}
	cmd.AddCommand(below...)
	return cmd
}

// args wraps cobra's checks so that a wrong number of arguments is wrong usage.
func args(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return usage("%w; usage: %s", err, cmd.UseLine())
		}
		return nil
	}
}

// noArgs is cobra's, which calls an argument too many an unknown command.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usage("%q takes no argument such as %q; usage: %s", cmd.CommandPath(), args[0], cmd.UseLine())
	}
	return nil
}

// show prints v as JSON, or as human writes it; columns are separated by tabs.
func (c *cli) show(v any, human func(w io.Writer)) error {
	if c.json {
		if list := reflect.ValueOf(v); list.Kind() == reflect.Slice && list.IsNil() {
			v = []any{} // not null: programs go through it
		}
		e := json.NewEncoder(c.out)
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		return e.Encode(v)
	}
	w := tabwriter.NewWriter(c.out, 0, 8, 2, ' ', 0)
	human(w)
	return w.Flush()
}

// done reports a change that has no answer of its own.
func (c *cli) done(format string, a ...any) error {
	text := fmt.Sprintf(format, a...)
	return c.show(struct {
		Done string `json:"done"`
	}{text}, func(w io.Writer) { fmt.Fprintln(w, text) })
}

// configFile is the file that --config names, or the first that is there.
func (c *cli) configFile() (string, error) {
	if c.config != "" {
		return c.config, nil
	}
	if file := os.Getenv("FACTEUR_CONFIG"); file != "" {
		return file, nil
	}
	places := []string{"facteur.toml", "/etc/facteur/facteur.toml"}
	for _, file := range places {
		if _, err := os.Stat(file); err == nil {
			return file, nil
		}
	}
	return "", fmt.Errorf("no configuration: neither ./%s nor %s is there; --config names another, and \"facteur quickstart you@example.org\" writes one", places[0], places[1])
}

// load reads the configuration. With --data none is needed: then the defaults hold,
// and only what depends on the host name is missing.
func (c *cli) load() (Config, error) {
	file, err := c.configFile()
	if err != nil {
		if c.data != "" {
			cfg := DefaultConfig()
			cfg.Data = c.data
			return cfg, nil
		}
		return Config{}, &exitError{exitUsage, err}
	}
	cfg, err := LoadConfig(file)
	if err != nil {
		return cfg, &exitError{exitUsage, err}
	}
	if c.data != "" {
		cfg.Data, err = filepath.Abs(c.data)
	}
	return cfg, err
}

// withService calls f with the running server's Service, or with one on the data
// folder when no server runs.
func (c *cli) withService(cmd *cobra.Command, f func(ctx context.Context, s admin.Service) error) error {
	ctx := cmd.Context()
	cfg, err := c.load()
	if err != nil {
		return err
	}
	if client, err := admin.Dial(ctx, cfg.Data); err == nil {
		return f(ctx, client)
	}
	if _, err := os.Stat(cfg.Data); err != nil {
		return &exitError{exitNotFound, fmt.Errorf("data folder: %w", err)}
	}
	if err := becomeOwner(cfg.Data); err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(c.err, &slog.HandlerOptions{Level: slog.LevelWarn}))
	open, err := openParts(cfg, "facteur "+cmd.Name(), log, defaultDeps(log))
	if err != nil {
		return err
	}
	return errors.Join(f(ctx, open.service(cfg)), open.close())
}

// ask puts a question to the service and shows its answer: as JSON, or in human's words.
func ask[Q, A any](c *cli, cmd *cobra.Command, method func(admin.Service, context.Context, Q) (A, error), question Q, human func(io.Writer, A)) error {
	return c.withService(cmd, func(ctx context.Context, s admin.Service) error {
		answer, err := method(s, ctx, question)
		if err != nil {
			return err
		}
		return c.show(answer, func(w io.Writer) { human(w, answer) })
	})
}

// change has the service change something, and says what was done.
func change[Q any](c *cli, cmd *cobra.Command, method func(admin.Service, context.Context, Q) (admin.None, error), what Q, format string, args ...any) error {
	return c.withService(cmd, func(ctx context.Context, s admin.Service) error {
		if _, err := method(s, ctx, what); err != nil {
			return err
		}
		return c.done(format, args...)
	})
}
