package command

import (
	"os"
)

// Start starts a program that its caller looks after: path is run with argv
// as it stands, in the environment and with the files that attr names, and
// nothing is read, waited for or closed here.
func Start(path string, argv []string, attr *os.ProcAttr) (*os.Process, error) {
	return os.StartProcess(path, argv, attr)
}
