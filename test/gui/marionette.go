package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// marionette drives a Mozilla program by its remote protocol: JSON messages, each after its length
// and a colon.
type marionette struct {
	conn net.Conn
	r    *bufio.Reader
	id   int
}

// dialMarionette waits until the program listens, and opens a session with its inside ("chrome").
func dialMarionette(ctx context.Context, port int) (*marionette, error) {
	m := &marionette{}
	err := wait(ctx, "Marionette", func() (bool, error) {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			return false, err
		}
		m.conn, m.r = conn, bufio.NewReader(conn)
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	if _, err := m.receive(); err != nil { // the greeting
		return nil, err
	}
	if err := m.call("WebDriver:NewSession", map[string]any{}, nil); err != nil {
		return nil, err
	}
	if err := m.call("WebDriver:SetTimeouts", map[string]any{"script": 90_000}, nil); err != nil {
		return nil, err
	}
	return m, m.call("Marionette:SetContext", map[string]any{"value": "chrome"}, nil)
}

// call gives a command and reads its result.
func (m *marionette) call(command string, params map[string]any, result any) error {
	m.id++
	text, err := json.Marshal([]any{0, m.id, command, params})
	if err != nil {
		return err
	}
	_ = m.conn.SetDeadline(time.Now().Add(2 * time.Minute))
	if _, err := fmt.Fprintf(m.conn, "%d:%s", len(text), text); err != nil {
		return err
	}
	text, err = m.receive()
	if err != nil {
		return fmt.Errorf("%s: %w", command, err)
	}
	var failure *struct{ Error, Message, Stacktrace string }
	answer := []any{nil, nil, &failure, result}
	if err := json.Unmarshal(text, &answer); err != nil {
		return fmt.Errorf("%s: %w: %s", command, err, text)
	}
	if failure != nil {
		return fmt.Errorf("%s: %s: %s", command, failure.Error, failure.Message)
	}
	return nil
}

func (m *marionette) receive() ([]byte, error) {
	length, err := m.r.ReadString(':')
	if err != nil {
		return nil, err
	}
	var n int
	if _, err := fmt.Sscanf(strings.TrimSuffix(length, ":"), "%d", &n); err != nil {
		return nil, fmt.Errorf("length %q: %w", length, err)
	}
	text := make([]byte, n)
	_, err = io.ReadFull(m.r, text)
	return text, err
}

// do calls one of the library's functions in the program, and gives what it returned, or what it
// resolved to.
func (m *marionette) do(library, function string, args ...any) (string, error) {
	if args == nil {
		args = []any{}
	}
	script := library + "\nconst done = arguments[arguments.length - 1];\n" +
		"(async (args) => " + function + "(...args))([...arguments].slice(0, -1))" +
		".then(v => done({value: String(v)}), e => done({error: e + ' at ' + e.stack}));"
	var result struct {
		Value struct{ Value, Error string }
	}
	err := m.call("WebDriver:ExecuteAsyncScript", map[string]any{
		"script": script, "args": args, "newSandbox": true, "sandbox": "system",
	}, &result)
	if err == nil && result.Value.Error != "" {
		err = fmt.Errorf("%s", result.Value.Error)
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", function, err)
	}
	return result.Value.Value, nil
}
