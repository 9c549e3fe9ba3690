package lab

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"time"
)

// qmp is QEMU's monitor: as much of its protocol as the lab needs.
type qmp struct {
	conn    net.Conn
	replies chan qmpMessage
	ended   chan struct{}
	reason  string // of the last SHUTDOWN event, valid once ended is closed
}

type qmpMessage struct {
	Return json.RawMessage `json:"return"`
	Error  *struct {
		Desc string `json:"desc"`
	} `json:"error"`
	Event string `json:"event"`
	Data  struct {
		Reason string `json:"reason"`
	} `json:"data"`
	Greeting json.RawMessage `json:"QMP"`
}

func newQMP(conn net.Conn) (*qmp, error) {
	q := &qmp{conn: conn, replies: make(chan qmpMessage, 1), ended: make(chan struct{})}
	go q.read()
	_, err := q.command("qmp_capabilities", nil)
	return q, err
}

func (q *qmp) read() {
	defer close(q.ended)
	defer func() { _ = q.conn.Close() }()
	decoder := json.NewDecoder(q.conn)
	for {
		var msg qmpMessage
		if decoder.Decode(&msg) != nil {
			return
		}
		switch {
		case msg.Event == "SHUTDOWN":
			q.reason = msg.Data.Reason
		case msg.Event == "" && msg.Greeting == nil:
			q.replies <- msg
		}
	}
}

// command executes one QMP command and returns what it answers. Commands must
// not overlap.
func (q *qmp) command(name string, args any) (json.RawMessage, error) {
	request := map[string]any{"execute": name}
	if args != nil {
		request["arguments"] = args
	}
	if err := json.NewEncoder(q.conn).Encode(request); err != nil {
		return nil, fmt.Errorf("qmp %s: %w", name, err)
	}
	select {
	case msg := <-q.replies:
		if msg.Error != nil {
			return nil, fmt.Errorf("qmp %s: %s", name, msg.Error.Desc)
		}
		return msg.Return, nil
	case <-q.ended:
		return nil, fmt.Errorf("qmp %s: %w", name, errors.New("qemu has ended"))
	case <-time.After(scaled(30 * time.Second)):
		return nil, fmt.Errorf("qmp %s: %w", name, errors.New("no answer"))
	}
}

// wait returns how the guest ended, once QEMU has: guestReset, guestShutdown,
// another of QEMU's words, or "" where QEMU was killed.
func (q *qmp) wait() string {
	<-q.ended
	return q.reason
}
