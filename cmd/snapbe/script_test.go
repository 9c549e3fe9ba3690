package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"snapbe/be"
	"snapbe/be/betest"
	"snapbe/internal/zfs"
)

// In the scripts, snapbe is the real program from main to the exit code, on a
// host that is a fake and lasts from one call to the next, in $WORK/world.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"snapbe": scriptMain})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("WORLD", filepath.Join(env.WorkDir, "world"))
			env.Setenv("TZ", "UTC")
			env.Setenv("COLUMNS", "80")
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"world": worldCommand,
			"exits": exitsCommand,
		},
		Condition: func(cond string) (bool, error) {
			if cond != "terminals" {
				return false, fmt.Errorf("no condition %q", cond)
			}
			f, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
			if err == nil {
				err = f.Close()
			}
			return err == nil, nil
		},
		UpdateScripts:      os.Getenv("UPDATE_GOLDEN") != "",
		RequireUniqueNames: true,
	})
}

// scriptMain is main on the fake host.
func scriptMain() {
	os.Exit(run(context.Background(), os.Args[1:], newTerminal(os.Stdin, os.Stdout, os.Stderr), openWorld))
}

func openWorld(o options) (lifecycle, func() error, error) {
	w, err := betest.Load(os.Getenv("WORLD"))
	if err != nil {
		return nil, nil, err
	}
	w.Host.Command = command1
	if at, err := strconv.Atoi(os.Getenv("POWERCUT")); err == nil {
		w.Stop = func(what string, n int) error {
			if n == at {
				fmt.Fprintln(os.Stderr, "power cut before:", what)
				_ = w.Save()
				os.Exit(99)
			}
			return nil
		}
	}
	sys := w.System()
	sys.Root, sys.Command, sys.ShareSnapshots = o.Root, o.Command, o.ShareSnapshots
	sys.ZonePolicy, sys.Upgrades, sys.ZoneUpgrades = o.ZonePolicy, o.Upgrades, o.ZoneUpgrades
	return be.New(sys), w.Save, nil
}

// command1 stands for the programs that exec runs.
func command1(root *os.Root, argv []string) int {
	switch argv[0] {
	case "write":
		if err := root.WriteFile(argv[1], []byte(argv[2]), 0o644); err != nil {
			return 1
		}
		return 0
	case "exit":
		code, _ := strconv.Atoi(argv[1])
		return code
	case "sh": // ends with what the tree's file "fails" has, 0 without it
		text, _ := root.ReadFile("fails")
		code, _ := strconv.Atoi(strings.TrimSpace(string(text)))
		return code
	}
	return 127
}

// worldCommand makes the host, or does something to it from outside:
//
//	world new [split] [plain] [NESTED…]
//	world reboot
//	world user|root        the rights of who calls snapbe
//	world nogrub
//	world fat              gives each disk a FAT partition
//	world zone NAME
//	world set DATASET PROPERTY VALUE
//	world put DATASET FILE TEXT (\n in it is a newline)
func worldCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: world new|reboot|user|root|nogrub|put …")
	}
	var w *betest.World
	if args[0] == "new" {
		w = newWorld(ts.Getenv("WORLD"), args[1:])
	} else {
		var err error
		w, err = betest.Load(ts.Getenv("WORLD"))
		ts.Check(err)
		changeWorld(ts, w, args)
	}
	ts.Check(w.Save())
}

func newWorld(dir string, args []string) *betest.World {
	var l betest.Layout
	for _, a := range args {
		switch a {
		case "split":
			l.Split = true
		case "plain":
			l.Plain = true
		default:
			l.Nested = append(l.Nested, a)
		}
	}
	return betest.New(dir, l)
}

func changeWorld(ts *testscript.TestScript, w *betest.World, args []string) {
	switch args[0] {
	case "reboot":
		ts.Check(w.Reboot())
	case "user", "root":
		w.Host.User = args[0] == "user"
	case "zone":
		w.AddZone("rpool/zones", args[1])
	case "fat":
		w.Boot.FAT = true
	case "nogrub":
		w.Host.NoGRUB = true
	case "set":
		ts.Check(w.ZFS.Set(context.Background(), []zfs.Change{{Dataset: args[1], Set: zfs.Props{args[2]: args[3]}}}))
	case "put":
		w.Put(args[1], args[2], strings.ReplaceAll(args[3], `\n`, "\n"))
	default:
		ts.Fatalf("world %s?", strings.Join(args, " "))
	}
}

// exitsCommand runs a program that must end with the code: exits CODE PROGRAM….
func exitsCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM [ARG…]")
	}
	want := args[0]
	err := ts.Exec(args[1], args[2:]...)
	got := "0"
	if err != nil {
		got = strings.TrimPrefix(err.Error(), "exit status ")
	}
	if got != want {
		ts.Fatalf("exit code %s, not %s", got, want)
	}
}
