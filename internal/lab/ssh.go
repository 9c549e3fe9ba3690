package lab

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// link is a connection to the guest's sshd.
type link struct {
	client *ssh.Client
	proc   *process
}

func (l *link) close() {
	if l != nil {
		// In the background: a dead guest does not answer to it.
		go func() { _ = l.client.Close() }()
	}
}

// WaitSSH waits until the guest answers by ssh.
func (m *Machine) WaitSSH(timeout time.Duration) {
	t := m.tb()
	t.Helper()
	m.waitSSH(t, 1, timeout)
}

// waitSSH waits until a guest answers that is at least the machine's
// number-th.
func (m *Machine) waitSSH(t testing.TB, number int, timeout time.Duration) {
	t.Helper()
	deadline := time.Now().Add(scaled(timeout))
	err := errors.New("the guest has not restarted")
	for time.Now().Before(deadline) {
		m.mu.Lock()
		p := m.proc
		m.mu.Unlock()
		switch {
		case p == nil:
			t.Fatalf("no answer by ssh: the machine is powered off\n%s", m.console.tail())
		case p.number >= number:
			if _, err = m.dial(); err == nil {
				return
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("no answer by ssh after %v: %v\n%s", scaled(timeout), err, m.console.tail())
}

// dial returns the connection to the running guest, a new one where there is
// none. It tries once.
func (m *Machine) dial() (*link, error) {
	m.mu.Lock()
	p, l := m.proc, m.link
	m.mu.Unlock()
	if p == nil {
		return nil, errors.New("the machine is powered off")
	}
	if l != nil && l.proc == p {
		return l, nil
	}
	client, err := dialSSH(p.port, m.signer)
	if err != nil {
		return nil, err
	}
	l = &link{client: client, proc: p}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.proc != p {
		l.close()
		return nil, errors.New("the guest has restarted")
	}
	m.link = l
	m.seen = p.number
	return l, nil
}

// drop forgets a connection that has failed.
func (m *Machine) drop(l *link) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.link == l {
		m.link = nil
	}
	l.close()
}

func dialSSH(port int, signer ssh.Signer) (*ssh.Client, error) {
	address := fmt.Sprintf("127.0.0.1:%d", port)
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	// QEMU accepts at once, and repeats the guest's lost SYN at growing
	// intervals while there is no network in the guest yet: so begin anew now
	// and then, but leave a busy guest the time for sshd's first byte.
	reader := bufio.NewReader(conn)
	_ = conn.SetDeadline(time.Now().Add(scaled(20 * time.Second)))
	if _, err := reader.Peek(1); err != nil {
		_ = conn.Close()
		return nil, err
	}
	_ = conn.SetDeadline(time.Now().Add(scaled(60 * time.Second)))
	c, channels, requests, err := ssh.NewClientConn(&peeked{conn, reader}, address, &ssh.ClientConfig{
		User: "root",
		Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)},
		// It is our own guest behind a port of our own.
		HostKeyCallback: ssh.InsecureIgnoreHostKey(),
	})
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	_ = conn.SetDeadline(time.Time{})
	return ssh.NewClient(c, channels, requests), nil
}

// peeked is a connection whose first bytes wait in a buffer.
type peeked struct {
	net.Conn
	reader *bufio.Reader
}

func (p *peeked) Read(b []byte) (int, error) { return p.reader.Read(b) }
