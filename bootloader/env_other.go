//go:build !linux

package bootloader

func withMount(string, string, bool, func(dir int) error) error { return ErrEnvUnsupported }

func readEnvFile(int) ([]byte, error) { return nil, ErrEnvUnsupported }

func writeEnvFile(int, []byte) error { return ErrEnvUnsupported }
