package config_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/config"
)

// certify writes a certificate and its key into a directory, as name.crt and name.key, signed by
// parent or, without one, by itself.
func certify(t *testing.T, dir, name string, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"queue.example"}, IsCA: parent == nil, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if parent == nil {
		parent, parentKey = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, parentKey)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{".crt": {Type: "CERTIFICATE", Bytes: der}, ".key": {Type: "EC PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(dir, name+file), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return c, key
}

// A server that wants TLS and a certificate of its clients.
func TestRedisTLS(t *testing.T) {
	dir := t.TempDir()
	ca, key := certify(t, dir, "ca", nil, nil)
	certify(t, dir, "server", ca, key)
	certify(t, dir, "client", ca, key)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	l.Close()
	file := func(name string) string { return filepath.Join(dir, name) }
	redisServer(t, "tls-port "+port, "bind 127.0.0.1", "tls-cert-file "+file("server.crt"), "tls-key-file "+file("server.key"),
		"tls-ca-cert-file "+file("ca.crt"), "tls-auth-clients yes")
	open := func(url, tls string) (*config.Queues, error) {
		t.Helper()
		path := file("farm.yaml")
		text := fmt.Sprintf("backends: {main: {kind: redis, url: %q, tls: {%s}}}", url, tls)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := config.Load(path)
		if err != nil {
			t.Fatal(err)
		}
		return f.Open(context.Background(), new(jobqueue.Registry))
	}
	q, err := open("rediss://127.0.0.1:"+port, "ca: ca.crt, cert: client.crt, key: client.key, server: queue.example")
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	pushed(t, q.Group)
	for _, test := range []struct{ tls, want string }{
		{"ca: ca.crt, cert: client.crt, key: client.key, server: other.example", "certificate is valid for queue.example, not other.example"},
		{"cert: client.crt, key: client.key, server: queue.example", "certificate signed by unknown authority"},
		{"ca: ca.crt, server: queue.example", "certificate required"},
	} {
		q, err := open("rediss://127.0.0.1:"+port, test.tls)
		if err == nil {
			q.Close()
		}
		if !errors.Is(err, jobqueue.ErrUnavailable) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("Open with %s = %v, want %s", test.tls, err, test.want)
		}
	}
}
