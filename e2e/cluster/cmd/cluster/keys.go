package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"time"
)

// writeKeys makes an authority, the certificate that the API server shows, and the pair with which it signs
// the tokens of service accounts.
func writeKeys(f files) error {
	authority, err := newKey()
	if err != nil {
		return err
	}
	ca := certificate(1, "e2e-ca")
	ca.IsCA, ca.BasicConstraintsValid, ca.KeyUsage = true, true, x509.KeyUsageCertSign
	if err := sign(f.ca, ca, ca, authority, authority); err != nil {
		return err
	}

	key, err := newKey()
	if err != nil {
		return err
	}
	server := certificate(2, "kube-apiserver")
	server.KeyUsage, server.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	server.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	server.DNSNames = []string{"localhost", "kubernetes.default.svc"}
	if err := sign(f.cert, server, ca, key, authority); err != nil {
		return err
	}
	if err := writeKey(f.key, key); err != nil {
		return err
	}

	account, err := newKey()
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(&account.PublicKey)
	if err != nil {
		return err
	}
	if err := writePEM(f.accountPublic, "PUBLIC KEY", public); err != nil {
		return err
	}
	return writeKey(f.accountKey, account)
}

func newKey() (*ecdsa.PrivateKey, error) {
	return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
}

func certificate(serial int64, name string) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: big.NewInt(serial),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(24 * time.Hour),
	}
}

func sign(path string, what, by *x509.Certificate, of, with *ecdsa.PrivateKey) error {
	der, err := x509.CreateCertificate(rand.Reader, what, by, &of.PublicKey, with)
	if err != nil {
		return err
	}
	return writePEM(path, "CERTIFICATE", der)
}

func writeKey(path string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	return writePEM(path, "EC PRIVATE KEY", der)
}

func writePEM(path, kind string, der []byte) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}
