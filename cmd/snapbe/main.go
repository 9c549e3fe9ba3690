// Snapbe manages ZFS boot environments. Each command has a file of its own
// that turns the command line into one typed request for package be; tui.go
// alone writes to the terminal, and exit.go alone knows the exit codes.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"snapbe/be"
	"snapbe/sharedvar"
)

// lifecycle is be.Manager, as far as the commands use it.
type lifecycle interface {
	Do(ctx context.Context, r be.Request, o be.Options) (be.Result, error)
	List(ctx context.Context, o be.ListOptions) ([]be.BE, error)
	Status(ctx context.Context) (be.Status, error)
	Check(ctx context.Context) ([]be.Problem, error)
	Exec(ctx context.Context, x be.Exec) (code int, notes []string, err error)
	Zones(ctx context.Context) (be.ZoneList, error)
	Upgrade(ctx context.Context, u be.Upgrade) (be.UpgradeResult, error)
	Share(ctx context.Context, zone string) (be.ShareState, error)
	ShareDiff(ctx context.Context, zone, snap string) (against string, changes []sharedvar.Change, err error)
}

// opener makes the life cycle of the host that the options name; done is
// called when the command has ended. Tests put their own in its place.
type opener func(o options) (m lifecycle, done func() error, err error)

// options are what an opener goes by.
type options struct {
	// Root is the BE root container; "" is that of the running BE.
	Root string
	// Config is the configuration file.
	Config string
	// ShareSnapshots, Trials and TrialCmdline are be.System's.
	ShareSnapshots int
	Trials         bool
	TrialCmdline   []string
	// ZonePolicy, Upgrades and ZoneUpgrades are be.System's.
	ZonePolicy             map[string]be.ZonePolicy
	Upgrades, ZoneUpgrades map[string]string
	// Command is the command line, as the lock's holder is told.
	Command string
	Log     *slog.Logger
}

// app is what every command works with.
type app struct {
	ctx  context.Context
	cli  *cli
	tui  *terminal
	open opener
	log  *slog.Logger
	// terse leaves out that there was nothing to do.
	terse bool
	// anyConfig is for what runs at boot: it goes on without a configuration that
	// cannot be read, and works where the running BE lies.
	anyConfig bool
	// args are the command line without the program's name.
	args []string
	// done ends the life cycle that life opened.
	done func() error
}

func main() {
	childMain()
	// Whoever reads what is printed may go away: that must not end an
	// operation half-way. (Ignored, it would be so for all programs run.)
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	// A connection that is lost ends an operation as Ctrl-C does: undone.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	code := run(ctx, os.Args[1:], newTerminal(os.Stdin, os.Stdout, os.Stderr), openHost)
	stop()
	os.Exit(code)
}

// run is snapbe from the command line to the exit code.
func run(ctx context.Context, args []string, tui *terminal, open opener) int {
	a := &app{ctx: ctx, cli: &cli{}, tui: tui, open: open, args: args}
	err := a.run()
	var helped helpShown
	if errors.As(err, &helped) {
		return 0
	}
	if text := describe(err); text != nil {
		tui.fail(text.Error(), hintOf(err))
	}
	return exitCode(err)
}

func (a *app) run() (err error) {
	parser, err := newParser(a.cli, a.tui.out)
	if err != nil {
		return err
	}
	defer catchHelp(&err)
	if len(a.args) == 0 {
		return &usage{text: "no command was given", hint: "snapbe --help lists them"}
	}
	kctx, err := parser.Parse(asAsked(a.args))
	if err != nil {
		return usageError(err)
	}
	a.log = newLog(a.cli.Verbose, a.tui.err)
	defer func() {
		if a.done != nil {
			err = errors.Join(err, a.done())
		}
		if err == nil && a.tui.lost != nil {
			err = fmt.Errorf("cannot write the answer: %w", a.tui.lost)
		}
	}()
	return kctx.Run(a)
}

// asAsked takes the other ways to ask for help or the version for what they mean.
func asAsked(args []string) []string {
	switch args[0] {
	case "help":
		return append(args[1:len(args):len(args)], "--help")
	case "--version":
		return append([]string{"version"}, args[1:]...)
	}
	return args
}

// newParser makes the command line's parser, and with it the model that the
// completions, the man page's test and the golden helps go by.
func newParser(c *cli, out io.Writer) (*kong.Kong, error) {
	return kong.New(c,
		kong.Name("snapbe"),
		kong.Description("Boot environments on ZFS: clone the running system, change the clone, boot it, fail back."),
		kong.Writers(out, out),
		kong.Exit(func(int) { panic(helpShown{}) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 80}),
		kong.Vars{"config": defaultConfigFile},
	)
}

// helpShown ends the parsing where kong has printed a help text: kong knows no
// other way to stop than to leave the process.
type helpShown struct{}

func (helpShown) Error() string { return "the help was shown" }

func catchHelp(err *error) {
	switch p := recover().(type) {
	case nil:
	case helpShown:
		*err = p
	default:
		panic(p)
	}
}

// usageError is a mistake on the command line, with the help that applies.
func usageError(err error) error {
	const hint = "snapbe --help"
	var parse *kong.ParseError
	if !errors.As(err, &parse) || parse.Context == nil || parse.Context.Selected() == nil {
		return &usage{text: err.Error(), hint: hint}
	}
	selected := parse.Context.Selected()
	bad := &usage{text: err.Error(), hint: commandPath(selected) + " --help"}
	if selected.Name == "exec" {
		return &execError{bad} // 2 may be its command's
	}
	return bad
}

// configured is the configuration.
func (a *app) configured() (config, error) {
	conf, err := readConfig(a.cli.Config)
	if err != nil && a.anyConfig {
		a.tui.notes([]string{err.Error() + "; going on as without it"})
		return withoutFile, nil
	}
	return conf, err
}

// life opens the life cycle that the command line and the configuration name.
func (a *app) life() (lifecycle, error) {
	conf, err := a.configured()
	if err != nil {
		return nil, err
	}
	if a.anyConfig {
		conf.BERoot = "" // a boot is about what boots
	}
	root := a.cli.BERoot
	if root == "" {
		root = conf.BERoot
	}
	m, done, err := a.open(options{
		Root:   root,
		Config: a.cli.Config,

		ShareSnapshots: conf.ShareSnapshots,
		Trials:         conf.Trial.Enable,
		TrialCmdline:   conf.Trial.Cmdline,
		ZonePolicy:     conf.policies(),
		Upgrades:       conf.Upgrade.Commands,
		ZoneUpgrades:   conf.zoneUpgrades(),
		Command:        strings.Join(append([]string{"snapbe"}, a.args...), " "),
		Log:            a.log,
	})
	if err != nil {
		return nil, err
	}
	a.done = done
	return m, nil
}

// newLog is silent unless more was asked for.
func newLog(verbose bool, w io.Writer) *slog.Logger {
	if !verbose {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// commandPath is a command as it is typed, such as "snapbe boot check".
func commandPath(n *kong.Node) string {
	if n.Parent == nil {
		return n.Name
	}
	return fmt.Sprintf("%s %s", commandPath(n.Parent), n.Name)
}
