//go:build vm

package e2e

import ("testing";"os";"fmt";"time";"strings")

// TestXXX serves commands from a directory, while working.
func TestXXX(t *testing.T) {
	m := adopted(t, "trixie", "single")
	for {
		time.Sleep(200*time.Millisecond)
		b, err := os.ReadFile("/tmp/e2e/cmd")
		if err != nil { continue }
		os.Remove("/tmp/e2e/cmd")
		if string(b) == "quit\n" { return }
		var out string
		if strings.HasPrefix(string(b), "reboot") { m.Reboot(); out = "rebooted" } else {
		out, err = m.Run(string(b)) }
		os.WriteFile("/tmp/e2e/out.part", []byte(out+fmt.Sprint(err)+"\n"), 0o644)
		os.Rename("/tmp/e2e/out.part", "/tmp/e2e/out")
	}
}
