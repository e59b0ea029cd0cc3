package config

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math"
	"net"
	"net/url"
	"os"
	"strconv"

	"github.com/goccy/go-yaml/ast"
	"github.com/redis/go-redis/v9"
	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queueredis"
)

// serverKeys are the keys that say how to reach a Redis server.
var serverKeys = []string{
	"url", "addrs", "master", "user", "passwordFile", "sentinelUser", "sentinelPasswordFile",
	"db", "prefix", "connections", "tls",
}

// redisOptions are the keys of kind redis, besides url and passwordFile.
type redisOptions struct {
	addrs            []string
	master, user     string
	sentinelUser     string
	sentinelPassword string // the file that holds it
	db, connections  int
	prefix           string
	shards, compress int
	tls              *tlsFiles
}

// tlsFiles are the files of a TLS connection; each may be "".
type tlsFiles struct{ ca, cert, key, server string }

func (o *redisOptions) section(r *reader, what string) section {
	text := func(p *string, key string) func(ast.Node) {
		return func(n ast.Node) {
			if v, ok := r.text(n, what+"."+key); ok {
				*p = v.text
			}
		}
	}
	return section{
		"addrs": func(n ast.Node) {
			r.list(n, what+".addrs", func(n ast.Node) {
				if v, ok := r.text(n, what+".addrs"); ok {
					if _, _, err := net.SplitHostPort(v.text); err != nil {
						r.fail(n, "%s.addrs: an address must be like host:6379, not %s", what, v.show())
					}
					o.addrs = append(o.addrs, v.text)
				}
			})
		},
		"master":               text(&o.master, "master"),
		"user":                 text(&o.user, "user"),
		"sentinelUser":         text(&o.sentinelUser, "sentinelUser"),
		"sentinelPasswordFile": func(n ast.Node) { o.sentinelPassword = r.passwordFile(n, what+".sentinelPasswordFile") },
		"prefix":               text(&o.prefix, "prefix"),
		"db": func(n ast.Node) {
			if v, ok := r.scalar(n, what+".db"); ok {
				i, err := strconv.Atoi(v.text)
				if err != nil || i < 0 || i > math.MaxInt32 {
					r.fail(n, "%s.db must be the number of a database, not %s", what, v.show())
				}
				o.db = i
			}
		},
		"connections": func(n ast.Node) { r.into(&o.connections, n, what+".connections") },
		"shards":      func(n ast.Node) { r.into(&o.shards, n, what+".shards") },
		"compress": func(n ast.Node) {
			if size := r.size(n, what+".compress"); size > 0 {
				o.compress = int(min(size, math.MaxInt32))
			}
		},
		"tls": func(n ast.Node) {
			o.tls = &tlsFiles{}
			of := what + ".tls"
			r.section(n, of, section{
				"ca": func(n ast.Node) { o.tls.ca = r.file(n, of+".ca", "certificates in PEM", holdsCertificates) },
				"cert": func(n ast.Node) {
					o.tls.cert = r.file(n, of+".cert", "a certificate in PEM that fits the key", o.tls.fits)
				},
				"key":    func(n ast.Node) { o.tls.key = r.file(n, of+".key", "the certificate's key in PEM", notEmpty) },
				"server": func(n ast.Node) { text(&o.tls.server, "tls.server")(n) },
			})
			if (o.tls.cert == "") != (o.tls.key == "") {
				r.fail(n, "%s: cert and key go together", of)
			}
		},
	}
}

// into reads a whole number of at least 1.
func (r *reader) into(p *int, n ast.Node, what string) {
	if c := r.count(n, what); c != nil {
		*p = *c
	}
}

// check has the backend's own rules applied, without what is in files.
func (o *redisOptions) check(r *reader, at ast.Node, what string, b backend) {
	switch {
	case b.url.text == "" && len(o.addrs) == 0:
		r.fail(at, "%s.url is missing, such as redis://host:6379, or addrs for Sentinels or a Cluster", what)
		return
	case b.password == "" && (o.user != "" || lacksPassword(b.url)):
		r.fail(at, "%s.passwordFile is missing, the user needs a password", what)
		return
	case o.sentinelUser != "" && o.sentinelPassword == "":
		r.fail(at, "%s.sentinelPasswordFile is missing, the sentinelUser needs a password", what)
		return
	case o.master == "" && (o.sentinelUser != "" || o.sentinelPassword != ""):
		r.fail(at, "%s: sentinelUser and sentinelPasswordFile need a master", what)
		return
	}
	if err := queueredis.CheckOptions(o.options(b)); err != nil {
		r.fail(at, "%s: %v", what, &backendError{"", b.url, err})
	}
}

// lacksPassword reports whether a URL has a user and no password.
func lacksPassword(v value) bool {
	u, err := url.Parse(v.text)
	if err != nil || u.User == nil || u.User.Username() == "" {
		return false
	}
	password, _ := u.User.Password()
	return password == ""
}

func (o *redisOptions) options(b backend) *queueredis.Options {
	return &queueredis.Options{
		URL: b.url.text, Addrs: o.addrs, Master: o.master, SentinelUser: o.sentinelUser,
		User: o.user, DB: o.db, Prefix: o.prefix, Shards: o.shards, Connections: o.connections,
		Compress: o.compress, Logger: b.log,
	}
}

// redisFor reads the files of a backend, which may have changed since the farm file was read.
func redisFor(b backend) (o *queueredis.Options, err error) {
	if o = b.redis.options(b); b.unadvised {
		o.Logger = nil
	}
	if o.Password, err = readPassword("passwordFile", b.password); err != nil {
		return nil, err
	}
	if o.SentinelPassword, err = readPassword("sentinelPasswordFile", b.redis.sentinelPassword); err != nil {
		return nil, err
	}
	if b.redis.tls != nil {
		o.TLS, err = b.redis.tls.read()
	}
	return o, err
}

func (f *tlsFiles) read() (*tls.Config, error) {
	c := &tls.Config{ServerName: f.server, MinVersion: tls.VersionTLS12}
	if f.ca != "" {
		text, err := os.ReadFile(f.ca)
		if err != nil {
			return nil, fmt.Errorf("%w: tls.ca: %w", jobqueue.ErrInvalid, err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("%w: tls.ca: %s holds no certificate", jobqueue.ErrInvalid, f.ca)
		}
	}
	if f.cert != "" {
		pair, err := tls.LoadX509KeyPair(f.cert, f.key)
		if err != nil {
			return nil, fmt.Errorf("%w: tls.cert and tls.key: %w", jobqueue.ErrInvalid, err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

func openRedis(ctx context.Context, conf backend) (jobqueue.Backend, io.Closer, error) {
	o, err := redisFor(conf)
	if err != nil {
		return nil, nil, err
	}
	b, err := queueredis.Open(ctx, o)
	if err != nil {
		return nil, nil, err
	}
	return b, b, nil
}

// newClient returns a client for what else a farm keeps on a Redis server.
func newClient(ctx context.Context, conf backend) (redis.UniversalClient, error) {
	o, err := redisFor(conf)
	if err != nil {
		return nil, err
	}
	return queueredis.NewClient(ctx, o)
}
