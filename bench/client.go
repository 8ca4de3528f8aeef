package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// connections are how many the client keeps open, without pipelining.
const connections = 16

// passedLine begins the protected handler's answer.
const passedLine = "HTTP/1.1 204 "

// errRefused is an answer that is not the protected handler's.
var errRefused = errors.New("refused")

// client sends requests that were written beforehand and reads no more of an answer than where it ends, so that it takes less
// time than the server.
type client struct {
	open []*connection
}

type connection struct {
	net.Conn
	buffer [4096]byte
}

func dial(address string) (*client, error) {
	c := &client{}
	for range connections {
		conn, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", address)
		if err != nil {
			c.close()
			return nil, err
		}
		c.open = append(c.open, &connection{Conn: conn})
	}
	return c, nil
}

func (c *client) close() {
	for _, conn := range c.open {
		_ = conn.Close()
	}
}

// rawRequests are requests as they go over the wire.
func rawRequests(tokens []string) [][]byte {
	requests := make([][]byte, len(tokens))
	for i, token := range tokens {
		requests[i] = fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: api.example.com\r\nUser-Agent: bench\r\nAccept: application/json\r\n"+
			"Authorization: %s\r\n\r\n", path, bearerOf(token))
	}
	return requests
}

// each sends each request once.
func (c *client) each(requests [][]byte) error {
	conn := c.open[0]
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return err
	}
	for _, request := range requests {
		if _, err := conn.Write(request); err != nil {
			return err
		}
		if err := conn.passed(); err != nil {
			return err
		}
	}
	return nil
}

// load sends the requests for some time and returns how many were answered. A core serves its
// connections in turns, each with one request under way.
func (c *client) load(requests [][]byte, d time.Duration) (answered int, err error) {
	var wg sync.WaitGroup
	cores := clients()
	counts, errs := make([]int, cores), make([]error, cores)
	end := time.Now().Add(d)
	for core := range cores {
		var mine []*connection
		for i := core; i < len(c.open); i += cores {
			mine = append(mine, c.open[i])
		}
		wg.Go(func() {
			counts[core], errs[core] = inTurns(mine, requests, core*len(requests)/cores, end)
		})
	}
	wg.Wait()
	for _, n := range counts {
		answered += n
	}
	return answered, errors.Join(errs...)
}

func inTurns(open []*connection, requests [][]byte, next int, end time.Time) (answered int, err error) {
	if len(open) == 0 {
		return 0, nil
	}
	send := func(conn *connection) error {
		_, err := conn.Write(requests[next])
		next = (next + stride) % len(requests)
		return err
	}
	for _, conn := range open {
		if err := errors.Join(conn.SetDeadline(end.Add(time.Minute)), send(conn)); err != nil {
			return answered, err
		}
	}
	for time.Now().Before(end) {
		for _, conn := range open {
			if err := conn.passed(); err != nil {
				return answered, err
			}
			answered++
			if err := send(conn); err != nil {
				return answered, err
			}
		}
	}
	for _, conn := range open { // leaves nothing under way
		if err := conn.passed(); err != nil {
			return answered, err
		}
		answered++
	}
	return answered, nil
}

// passed reads one answer, which must be the protected handler's: it has no body.
func (c *connection) passed() error {
	for n := 0; n < len(c.buffer); {
		read, err := c.Read(c.buffer[n:])
		if err != nil {
			return err
		}
		n += read
		answer := c.buffer[:n]
		if n >= len(passedLine) && !bytes.HasPrefix(answer, []byte(passedLine)) {
			line, _, _ := bytes.Cut(answer, []byte("\r\n"))
			return fmt.Errorf("%w: %s", errRefused, line)
		}
		if bytes.HasSuffix(answer, []byte("\r\n\r\n")) {
			return nil
		}
	}
	return errors.New("the answer is too long")
}
