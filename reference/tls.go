package reference

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
)

// ErrTLS marks certificate files that can't be used. The error says which file, and why.
var ErrTLS = errors.New("no usable TLS configuration")

// LoadTLS makes a client's TLS configuration, of version 1.2 or later, from PEM files: ca has the certificates to trust,
// instead of the machine's own; cert and key are what the client shows of itself. Empty names leave these out; cert and key
// come together. The server's name is checked against the address that is dialled.
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
