package queueredis

import (
	"crypto/tls"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// DefaultPrefix is what keys begin with when nothing else is said.
const DefaultPrefix = "jobqueue"

// DefaultConnections is how many connections a backend uses at most when nothing else is said. One more
// listens while somebody waits for work.
const DefaultConnections = 4

// MaxShards is how many shards a store has at most.
const MaxShards = 1024

// Bounds of what this package waits for.
const (
	dialTimeout = 5 * time.Second
	callTimeout = 15 * time.Second // of a round trip
)

// Options of [Open]. The zero value and nil mean the defaults.
type Options struct {
	// URL names one server, or one of a Cluster: redis://user@host:6379/0, rediss:// with TLS, or unix:///path/of/socket.
	// Addrs are host:port of Sentinels, if there is a Master, or of servers of a Cluster. One of the two is required.
	URL   string
	Addrs []string

	Master           string // name of the master that the Sentinels at Addrs know
	SentinelUser     string
	SentinelPassword string

	User     string      // instead of that of the URL
	Password string      // instead of any that the URL has
	TLS      *tls.Config // nil: none, unless the URL says so
	DB       int         // the database, with Sentinels; a URL names its own, and a Cluster has but one

	Prefix      string // what all keys begin with; "" is [DefaultPrefix]
	Shards      int    // over how many shards the queues are spread; 0 is 1. The first to use a prefix decides for good
	Connections int    // 0 is [DefaultConnections]

	// Compress is the size in bytes from which on parameters are compressed; 0 is never.
	// They can be read whatever it is.
	Compress int

	Logger *slog.Logger // told of settings of the server that endanger jobs; nil says nothing
}

// A config is checked options.
type config struct {
	redis.UniversalOptions
	Options
	where   string // for messages; without secrets
	lacking string // who has no password; "" for nobody
}

func newConfig(o *Options) (*config, error) {
	c := &config{}
	if o != nil {
		c.Options = *o
	}
	if c.Prefix == "" {
		c.Prefix = DefaultPrefix
	}
	if c.Shards == 0 {
		c.Shards = 1
	}
	if c.Connections == 0 {
		c.Connections = DefaultConnections
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	u := &c.UniversalOptions
	if c.URL != "" {
		if err := c.parseURL(); err != nil {
			return nil, err
		}
	} else {
		u.Addrs, u.DB, u.TLSConfig = c.Options.Addrs, c.Options.DB, c.TLS
		c.where = "Redis at " + strings.Join(u.Addrs, ", ")
		u.IsClusterMode = c.Master == ""
	}
	u.MasterName, u.SentinelUsername, u.SentinelPassword = c.Master, c.SentinelUser, c.Options.SentinelPassword
	if c.Master != "" {
		c.where = "Redis " + c.Master
	}
	if c.User != "" {
		u.Username = c.User
	}
	if c.Options.Password != "" {
		u.Password = c.Options.Password
	}
	if u.Username != "" && u.Password == "" {
		c.lacking = "user " + strconv.Quote(u.Username) // The driver would go as nobody instead.
	}
	if u.SentinelUsername != "" && u.SentinelPassword == "" {
		c.lacking = "sentinelUser " + strconv.Quote(u.SentinelUsername)
	}
	u.PoolSize = c.Connections
	u.DialTimeout, u.ReadTimeout, u.WriteTimeout, u.PoolTimeout = dialTimeout, callTimeout, callTimeout, callTimeout
	u.ContextTimeoutEnabled = true
	u.DisableIdentity = true
	u.MaxRetries, u.DialerRetries = 1, 1
	return c, nil
}

func (c *config) check() error {
	switch {
	case (c.URL == "") == (len(c.Options.Addrs) == 0):
		return invalid("redis: give either a url, such as redis://host:6379/0, or addrs")
	case c.Master != "" && c.URL != "":
		return invalid("redis: with a master, give the addrs of its Sentinels, not a url")
	case c.Shards < 1 || c.Shards > MaxShards:
		return invalid("redis: %d shards, 1 to %d are possible", c.Shards, MaxShards)
	case c.Compress < 0:
		return invalid("redis: compress is %d bytes, 0 or more are possible", c.Compress)
	case c.Connections < 0:
		return invalid("redis: %d connections, at least 1 is needed", c.Connections)
	case len(c.Prefix) > 255 || strings.ContainsAny(c.Prefix, "{}:*?[]\\^ \n\x00"):
		return invalid("redis: prefix %q has a character other than letters, digits and simple punctuation", c.Prefix)
	}
	for _, a := range c.Options.Addrs {
		if _, _, err := net.SplitHostPort(a); err != nil {
			return invalid("redis: address %q is not like host:6379", a)
		}
	}
	return nil
}

// complete returns an error unless everybody has a password.
func (c *config) complete() error {
	if c.lacking != "" {
		return invalid("%s: %s needs a password", c.where, c.lacking)
	}
	return nil
}

// parseURL takes over what the URL says. No error quotes it, as it may have a password.
func (c *config) parseURL() error {
	o, err := redis.ParseURL(c.URL)
	if err != nil {
		why := ""
		// What is quoted can be part of a password that has a question mark.
		if _, query, _ := strings.Cut(c.URL, "?"); !strings.Contains(query, "@") && strings.HasPrefix(err.Error(), "redis: unexpected option") {
			why = strings.TrimPrefix(err.Error(), "redis:") + ";"
		}
		return invalid("redis:%s url must be like redis://user@host:6379/0, rediss://host or unix:///path/of/socket", why)
	}
	u := &c.UniversalOptions
	u.Addrs, u.DB, u.Username, u.Password, u.TLSConfig = []string{o.Addr}, o.DB, o.Username, o.Password, o.TLSConfig
	if c.TLS != nil {
		u.TLSConfig = c.TLS
	}
	c.where = "Redis at " + o.Addr
	return nil
}

// CheckOptions returns an [jobqueue.ErrInvalid] unless o can be used to open a backend. It connects to nothing.
func CheckOptions(o *Options) error {
	_, err := newConfig(o)
	return err
}
