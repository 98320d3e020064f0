package reference

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/cachedrill/cachedrill/reference/policy"
)

// ClientConfig says which Redis a client connects to, and as whom.
type ClientConfig struct {
	Addr     string // host:port
	Username string // of Redis's access control list; empty: the default user
	Password string // empty: none is sent
	DB       int    // number of the database, from 0. Databases of one server fail, and run out of memory, together

	// TLS encrypts the connection and checks who answers; nil: plain text. Versions before 1.2 are
	// never spoken, whatever it says, and an empty ServerName is Addr's host. [LoadTLS] makes one
	// from files.
	TLS *tls.Config
}

// ErrUnverified marks a TLS configuration that would accept any server as the Redis.
var ErrUnverified = errors.New("the TLS configuration checks no certificate")

// NewClient connects to a region's Redis in plain text; see [NewClientWith].
func NewClient(addr string, p policy.Policy) *redis.Client {
	return redis.NewClient(options(addr, p))
}

// NewClientWith connects to a region's Redis as the policy wants it: with the redis-deadline
// control a Redis that does not answer is given up after milliseconds and not asked again; without
// it the client's own defaults hold, which wait for seconds and retry. No connection is made before
// the first command. It fails with [ErrUnverified] when the TLS configuration skips verification
// and has no VerifyConnection of its own, and when Addr has no host to be checked.
func NewClientWith(cfg ClientConfig, p policy.Policy) (*redis.Client, error) {
	o := options(cfg.Addr, p)
	o.Username, o.Password, o.DB = cfg.Username, cfg.Password, cfg.DB
	if cfg.TLS != nil {
		if cfg.TLS.InsecureSkipVerify && cfg.TLS.VerifyConnection == nil {
			return nil, fmt.Errorf("connecting to %s: %w", cfg.Addr, ErrUnverified)
		}
		t := cfg.TLS.Clone()
		t.MinVersion = max(t.MinVersion, tls.VersionTLS12)
		if t.ServerName == "" {
			host, _, err := net.SplitHostPort(cfg.Addr)
			if err != nil || host == "" {
				return nil, fmt.Errorf("connecting to %q with TLS: it has no host whose name could be checked", cfg.Addr)
			}
			t.ServerName = host
		}
		o.TLSConfig = t
	}
	return redis.NewClient(o), nil
}

func options(addr string, p policy.Policy) *redis.Options {
	o := &redis.Options{
		Addr:                     addr,
		PoolSize:                 64,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	if p.Controls.Has(policy.RedisDeadline) {
		o.ContextTimeoutEnabled = true
		o.DialTimeout = redisTimeout
		o.ReadTimeout = redisTimeout
		o.WriteTimeout = redisTimeout
		o.PoolTimeout = redisTimeout
		o.MaxRetries = -1
		o.DialerRetries = 1
	}
	return o
}

// ErrTLS marks certificate files that can't be used. The error says which file, and why.
var ErrTLS = errors.New("no usable TLS configuration")

// LoadTLS makes a client's TLS configuration, of version 1.2 or later, from PEM files: ca has the
// certificates to trust, instead of the machine's own; cert and key are what the client shows of
// itself. Empty names leave these out; cert and key come together. The server's name is checked
// against the address that is dialled.
//
// The files are read once: a certificate that was renewed needs another client.
func LoadTLS(ca, cert, key string) (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return nil, fmt.Errorf("%w: reading the CA: %w", ErrTLS, err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%w: the CA %s holds no certificate in PEM", ErrTLS, ca)
		}
	}
	switch {
	case cert == "" && key == "":
		return cfg, nil
	case key == "":
		return nil, fmt.Errorf("%w: the certificate %s comes without its key", ErrTLS, cert)
	case cert == "":
		return nil, fmt.Errorf("%w: the key %s comes without its certificate", ErrTLS, key)
	}
	certPEM, err := os.ReadFile(cert)
	if err != nil {
		return nil, fmt.Errorf("%w: reading the certificate: %w", ErrTLS, err)
	}
	keyPEM, err := os.ReadFile(key)
	if err != nil {
		return nil, fmt.Errorf("%w: reading the key: %w", ErrTLS, err)
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, fmt.Errorf("%w: certificate %s with key %s: %w", ErrTLS, cert, key, err)
	}
	cfg.Certificates = []tls.Certificate{pair}
	return cfg, nil
}
