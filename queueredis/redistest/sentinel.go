//go:build unix

package redistest

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Sentinels are three that watch two private servers: a master and its replica.
type Sentinels struct {
	Master  string    // the name of what they watch
	Addrs   []string  // theirs
	Servers []*Server // the first is the master in the beginning

	Watchers []*Server // the Sentinels themselves
}

// quorum is how many Sentinels must agree that a master is down.
const quorum = 2

// StartSentinels starts the servers, with settings as for [Start], and the Sentinels, and waits until they know each
// other. A master that has not answered them for a second is replaced. The caller stops them.
func StartSentinels(settings ...string) (*Sentinels, error) {
	s := &Sentinels{Master: "jobs"}
	if err := s.start(settings); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

func (s *Sentinels) start(settings []string) error {
	ctx := context.Background()
	for range 2 {
		n, err := startNode(append([]string{"repl-diskless-sync-delay 0"}, settings...))
		if err != nil {
			return err
		}
		s.Servers = append(s.Servers, n)
	}
	host, port, _ := strings.Cut(s.Servers[0].Addr, ":")
	if _, err := s.Servers[1].Do(ctx, "replicaof", host, port); err != nil {
		return err
	}
	if err := await(ctx, "the replica", s.Servers[1].follows); err != nil {
		return err
	}
	for range 3 {
		w, err := startNode([]string{
			fmt.Sprintf("sentinel monitor %s %s %s %d", s.Master, host, port, quorum),
			fmt.Sprintf("sentinel down-after-milliseconds %s 1000", s.Master),
			fmt.Sprintf("sentinel failover-timeout %s 5000", s.Master),
		}, "--sentinel")
		if err != nil {
			return err
		}
		s.Watchers, s.Addrs = append(s.Watchers, w), append(s.Addrs, w.Addr)
		if _, err := w.Do(ctx, "sentinel", "debug", "info-period", 1000, "publish-period", 500); err != nil {
			return err
		}
	}
	return s.Agree(ctx)
}

// Agree waits until all Sentinels know each other, the same master and a replica that follows it.
func (s *Sentinels) Agree(ctx context.Context) error {
	return await(ctx, "the Sentinels to agree", func(ctx context.Context) (bool, error) {
		now, err := s.Now(ctx)
		if err != nil {
			return false, err
		}
		for _, w := range s.Watchers {
			c := w.Client()
			m, err := c.Do(ctx, "sentinel", "master", s.Master).Result()
			c.Close()
			if err != nil {
				return false, err
			}
			told := pairs(m)
			if told["num-other-sentinels"] != "2" || told["num-slaves"] != "1" || told["flags"] != "master" || told["ip"]+":"+told["port"] != now.Addr {
				return false, fmt.Errorf("a Sentinel knows: %v", told)
			}
		}
		for _, n := range s.Servers {
			if n != now {
				return n.follows(ctx)
			}
		}
		return false, nil
	})
}

// Now returns the server that most Sentinels say is the master.
func (s *Sentinels) Now(ctx context.Context) (*Server, error) {
	votes := map[string]int{}
	for _, w := range s.Watchers {
		a, err := w.Do(ctx, "sentinel", "get-master-addr-by-name", s.Master)
		if err != nil {
			return nil, err
		}
		if hostPort, ok := a.([]any); ok && len(hostPort) == 2 {
			votes[fmt.Sprint(hostPort[0], ":", hostPort[1])]++
		}
	}
	for _, n := range s.Servers {
		if votes[n.Addr] >= quorum {
			return n, nil
		}
	}
	return nil, fmt.Errorf("the Sentinels say %v", votes)
}

// Stop ends all and removes their files.
func (s *Sentinels) Stop() error { return errors.Join(stopAll(s.Watchers), stopAll(s.Servers)) }

// follows reports whether a server is a replica that has all its master had when it began.
func (s *Server) follows(ctx context.Context) (bool, error) {
	info, err := s.Info(ctx, "replication")
	return info["role"] == "slave" && info["master_link_status"] == "up" && info["master_sync_in_progress"] == "0", err
}

// pairs returns a reply of names and values, which is a map in newer protocols.
func pairs(reply any) map[string]string {
	all := map[string]string{}
	switch r := reply.(type) {
	case []any:
		for i := 0; i+1 < len(r); i += 2 {
			all[fmt.Sprint(r[i])] = fmt.Sprint(r[i+1])
		}
	case map[any]any:
		for k, v := range r {
			all[fmt.Sprint(k)] = fmt.Sprint(v)
		}
	}
	return all
}
