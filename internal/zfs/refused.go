package zfs

import (
	"context"
	"errors"
	"regexp"

	"snapbe/internal/command"
)

// complaints are the last words of the lines on stderr, with the versions of
// OpenZFS that were seen to say them. A line that is not here is not guessed
// at.
var complaints = []struct {
	pattern *regexp.Regexp
	reason  Reason
}{
	// 2.1, 2.3: get, set, inherit, snapshot, clone, promote, rename.
	{regexp.MustCompile(`(?m)^cannot open '[^']*': dataset does not exist$`), NotFound},
	// 2.1, 2.3: zpool, program, create.
	{regexp.MustCompile(`(?m)^cannot .*: no such pool(?: '[^']*')?$`), NotFound},
	// 2.3: zpool set bootfs=<nowhere>; zpool get; zpool set.
	{regexp.MustCompile(`(?m)^cannot .*: no such pool or dataset$`), NotFound},
	{regexp.MustCompile(`(?m)^Cannot get properties of .*: no such pool available\.$`), NotFound},
	{regexp.MustCompile(`(?m)^cannot open '[^']*': is not a pool$`), NotFound},
	// 2.1, 2.3: races between open and change.
	{regexp.MustCompile(`(?m)^cannot .*: dataset does not exist$`), NotFound},
	// 2.1, 2.3: create, clone, rename.
	{regexp.MustCompile(`(?m)^cannot .*: parent does not exist$`), NotFound},
	// 2.1, 2.3: create, clone, rename, snapshot.
	{regexp.MustCompile(`(?m)^cannot .*: dataset already exists$`), Exists},
	// 2.1, 2.3: promote, where the clone has a snapshot of the same name.
	{regexp.MustCompile(`(?m)^cannot promote '[^']*': conflicting snapshot '[^']*' from parent '[^']*'$`), Exists},
	// 2.1, 2.3: destroy, rename, rollback.
	{regexp.MustCompile(`(?m)^cannot .*: (?:dataset|pool or dataset|pool) is busy$`), Busy},
	// 2.1, 2.3.
	{regexp.MustCompile(`(?m)^cannot .*: permission denied$`), Denied},
	{regexp.MustCompile(`(?m)^Permission denied the ZFS utilities must be run as root\.$`), Denied},
	{regexp.MustCompile(`(?m)^Permission denied\. Channel programs must be run as root\.$`), Denied},
	// 2.1, 2.3: all that writes.
	{regexp.MustCompile(`(?m)^cannot .*: out of space$`), NoSpace},
}

// opened finds the name in "cannot open".
var opened = regexp.MustCompile(`(?m)^cannot open '([^']*)': `)

// refused makes an Error of a program's. A dataset that could not be opened is
// named instead of the one asked for.
func refused(verb, name string, err error) error {
	failed, ok := errors.AsType[*command.Error](err)
	if !ok || errors.Is(err, context.Canceled) {
		return &Error{Verb: verb, Name: name, Err: err}
	}
	e := &Error{Verb: verb, Name: name, Err: err}
	for _, c := range complaints {
		if c.pattern.MatchString(failed.Stderr) {
			e.Reason = c.reason
			break
		}
	}
	if m := opened.FindStringSubmatch(failed.Stderr); m != nil {
		e.Name = m[1]
	}
	return e
}

// complained tells whether a program that was refused said so.
func complained(err error, pattern *regexp.Regexp) bool {
	failed, ok := errors.AsType[*command.Error](err)
	return ok && pattern.MatchString(failed.Stderr)
}
