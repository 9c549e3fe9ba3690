package health

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// WaitUptime returns when the system has been up for that long (proc_uptime(5)),
// which is at once where it was already, or when the context ends, with its error.
func WaitUptime(ctx context.Context, least time.Duration) error {
	return waitUptime(ctx, "/proc/uptime", least)
}

func waitUptime(ctx context.Context, file string, least time.Duration) error {
	for {
		up, err := uptime(file)
		if err != nil {
			return fmt.Errorf("read how long the system is up: %w", err)
		}
		if up >= least {
			return nil
		}
		select {
		case <-time.After(least - up):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// uptime reads the first number, in seconds.
func uptime(file string) (time.Duration, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(string(text), " ")
	seconds, err := strconv.ParseFloat(first, 64)
	return time.Duration(seconds * float64(time.Second)), err
}
