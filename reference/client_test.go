package reference

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/internal/redistest"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/store"
)

// authority is a CA of the test's own, and the folder of its files.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	ca   string // file
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir()}
	var err error
	a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &a.key.PublicKey, a.key)
	require.NoError(t, err)
	a.cert, err = x509.ParseCertificate(der)
	require.NoError(t, err)
	a.ca = a.write("ca.pem", "CERTIFICATE", der)
	return a
}

// issue makes the certificate of a server at an address, or of a client, and its key.
func (a *authority) issue(name string, ip net.IP) (cert, key string) {
	a.t.Helper()
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(a.t, err)
	template := x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if ip != nil {
		template.IPAddresses = []net.IP{ip}
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, a.cert, &own.PublicKey, a.key)
	require.NoError(a.t, err)
	raw, err := x509.MarshalPKCS8PrivateKey(own)
	require.NoError(a.t, err)
	return a.write(name+".pem", "CERTIFICATE", der), a.write(name+".key", "PRIVATE KEY", raw)
}

func (a *authority) write(name, kind string, der []byte) string {
	a.t.Helper()
	path := filepath.Join(a.dir, name)
	require.NoError(a.t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
	return path
}

// secureRedis starts a server that speaks nothing but TLS. auth says whether clients must show a
// certificate.
func secureRedis(t *testing.T, a *authority, ip net.IP, auth string) string {
	t.Helper()
	cert, key := a.issue("server", ip)
	mine, mineKey := a.issue("waiting", nil)
	ready, err := LoadTLS(a.ca, mine, mineKey)
	require.NoError(t, err)
	ready.ServerName = ip.String()
	s := redistest.Start(t, redis.Options{TLSConfig: ready}, "--tls-port", "", "--tls-cert-file", cert, "--tls-key-file", key,
		"--tls-ca-cert-file", a.ca, "--tls-auth-clients", auth, "--requirepass", "")
	return s.Addr
}

var loopback = net.IPv4(127, 0, 0, 1)

// patient leaves out the deadline: a handshake on a busy machine may take longer, and is not what
// these tests are about.
func patient(t *testing.T) policy.Policy { return without(t, "redis-deadline") }

func TestCacheOverTLS(t *testing.T) {
	a := newAuthority(t, "ours")
	addr := secureRedis(t, a, loopback, "no")
	trust, err := LoadTLS(a.ca, "", "")
	require.NoError(t, err)
	client, err := NewClientWith(ClientConfig{Addr: addr, TLS: trust}, patient(t))
	require.NoError(t, err)
	defer client.Close()
	shared := store.NewRedis(client)
	r := newRegionOn(t, patient(t), 2, shared)
	w, err := r.caches[0].Put(t.Context(), hot, []byte("v2"), "w")
	require.NoError(t, err)
	require.Equal(t, Answer{Value: []byte("v2"), Version: 2, Tier: TierSource}, withoutTime(r.get(0, hot)))
	require.Equal(t, Answer{Value: []byte("v2"), Version: 2, Tier: TierL2}, withoutTime(r.get(1, hot)))
	require.Equal(t, TierL1, r.get(1, hot).Tier)

	w, err = r.caches[0].Put(t.Context(), hot, []byte("v3"), "w3")
	require.NoError(t, err)
	require.EqualValues(t, 2, r.get(1, hot).Version, "it has not heard of it")
	into := NewInvalidator(patient(t), []Family{product}, shared)
	require.NoError(t, into.Apply(t.Context(), hot, w.Version, w.T0))
	require.Eventually(t, func() bool { return r.get(1, hot).Version == 3 }, 5*time.Second, time.Millisecond, "the bus")
}

// What must not get through to a Redis does not, and what must does: each refusal beside the same
// client done right.
func TestWhoIsRefused(t *testing.T) {
	ours, other := newAuthority(t, "ours"), newAuthority(t, "other")
	open := secureRedis(t, ours, loopback, "no")
	closed := secureRedis(t, ours, loopback, "yes")
	elsewhere := secureRedis(t, ours, net.IPv4(10, 0, 0, 1), "no")
	cert, key := ours.issue("client", nil)
	foreignCert, foreignKey := other.issue("client", nil)
	load := func(ca, cert, key string) *tls.Config {
		cfg, err := LoadTLS(ca, cert, key)
		require.NoError(t, err)
		return cfg
	}
	old := load(ours.ca, "", "")
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	for _, c := range []struct {
		what, addr string
		tls        *tls.Config
		says       string // empty: it gets through
	}{
		{"done right", open, load(ours.ca, "", ""), ""},
		{"plain text", open, nil, "EOF|reset"},
		{"another authority is trusted", open, load(other.ca, "", ""), "unknown authority"},
		{"only the machine's authorities are trusted", open, load("", "", ""), "unknown authority"},
		{"the certificate is another machine's", elsewhere, load(ours.ca, "", ""), "not 127.0.0.1"},
		{"versions that are too old", open, old, "protocol version|no supported versions"},
		{"a client with a certificate", closed, load(ours.ca, cert, key), ""},
		{"a client without one", closed, load(ours.ca, "", ""), "certificate required|handshake|EOF|reset"},
		{"a client with a stranger's", closed, load(ours.ca, foreignCert, foreignKey), "unknown certificate authority|EOF|reset"},
	} {
		t.Run(c.what, func(t *testing.T) {
			p := patient(t)
			client, err := NewClientWith(ClientConfig{Addr: c.addr, TLS: c.tls}, p)
			require.NoError(t, err)
			defer client.Close()
			err = client.Set(t.Context(), "k", "v", 0).Err()
			if c.says == "" {
				require.NoError(t, err)
				return
			}
			require.Error(t, err)
			require.Regexp(t, c.says, err.Error())
		})
	}
}

func TestPasswordOverTLS(t *testing.T) {
	a := newAuthority(t, "ours")
	addr := secureRedis(t, a, loopback, "no")
	trust, err := LoadTLS(a.ca, "", "")
	require.NoError(t, err)
	admin, err := NewClientWith(ClientConfig{Addr: addr, TLS: trust}, patient(t))
	require.NoError(t, err)
	defer admin.Close()
	require.NoError(t, admin.Do(t.Context(), "ACL", "SETUSER", "shop", "on", ">open sesame", "~*", "&*", "+@all").Err())
	for _, c := range []struct {
		password string
		through  bool
	}{{"open sesame", true}, {"guess", false}} {
		client, err := NewClientWith(ClientConfig{Addr: addr, Username: "shop", Password: c.password, TLS: trust}, patient(t))
		require.NoError(t, err)
		if err := client.Ping(t.Context()).Err(); c.through {
			require.NoError(t, err)
		} else {
			require.ErrorContains(t, err, "WRONGPASS")
		}
		require.NoError(t, client.Close())
	}
}

func TestNobodyTurnsTheCheckOff(t *testing.T) {
	_, err := NewClientWith(ClientConfig{Addr: "cache:6379", TLS: &tls.Config{InsecureSkipVerify: true}}, policy.Recommended())
	require.ErrorIs(t, err, ErrUnverified)
	_, err = NewClientWith(ClientConfig{Addr: ":6379", TLS: &tls.Config{}}, policy.Recommended())
	require.ErrorContains(t, err, "no host")

	weak := &tls.Config{MinVersion: tls.VersionTLS10}
	client, err := NewClientWith(ClientConfig{Addr: "cache:6379", TLS: weak}, policy.Recommended())
	require.NoError(t, err)
	defer client.Close()
	used := client.Options().TLSConfig
	require.EqualValues(t, tls.VersionTLS12, used.MinVersion)
	require.Equal(t, "cache", used.ServerName)
	require.Empty(t, weak.ServerName, "the caller's own is left alone")

	own := &tls.Config{InsecureSkipVerify: true, VerifyConnection: func(tls.ConnectionState) error { return nil }}
	checked, err := NewClientWith(ClientConfig{Addr: "cache:6379", TLS: own}, policy.Recommended())
	require.NoError(t, err, "who checks by other means may")
	require.NoError(t, checked.Close())
}

func TestLoadTLSSaysWhichFile(t *testing.T) {
	a := newAuthority(t, "ours")
	cert, key := a.issue("client", nil)
	_, otherKey := a.issue("other", nil)
	text := filepath.Join(t.TempDir(), "text.pem")
	require.NoError(t, os.WriteFile(text, []byte("hello"), 0o600))
	for _, c := range []struct{ ca, cert, key, says string }{
		{"none.pem", "", "", "reading the CA: open none.pem"},
		{text, "", "", text + " holds no certificate"},
		{key, "", "", key + " holds no certificate"},
		{a.ca, cert, "", cert + " comes without its key"},
		{a.ca, "", key, key + " comes without its certificate"},
		{a.ca, "none.pem", key, "reading the certificate: open none.pem"},
		{a.ca, cert, "none.key", "reading the key: open none.key"},
		{a.ca, cert, otherKey, "certificate " + cert + " with key " + otherKey},
		{a.ca, text, key, "certificate " + text},
	} {
		_, err := LoadTLS(c.ca, c.cert, c.key)
		require.ErrorIs(t, err, ErrTLS)
		require.ErrorContains(t, err, c.says)
	}
	cfg, err := LoadTLS("", "", "")
	require.NoError(t, err)
	require.Nil(t, cfg.RootCAs, "the machine's own")
}
