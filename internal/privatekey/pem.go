package privatekey

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"strings"
)

var (
	errNoPEM     = errors.New("there is no PEM block in it; give a PKCS #8, PKCS #1 or SEC 1 private key")
	errOutside   = errors.New("there is text outside of a PEM block, or a broken block; remove or repair it")
	errEncrypted = errors.New("the private key is encrypted; give it without a passphrase")
	errPublic    = errors.New("it is a public key; give the private one")
	errWithCert  = errors.New("it has a certificate; give the private key alone")
	errOpenSSH   = errors.New("it is a key of OpenSSH; convert it with ssh-keygen -p -m PKCS8")
	errBlock     = errors.New("it has a PEM block that is no private key; give the key alone")
	errSeveral   = errors.New("it has several private keys; give the one to sign with")
	errDER       = errors.New("the private key cannot be read as what its PEM block says it is; export it again")
)

// FromPEM reads one PEM block: PRIVATE KEY (PKCS #8, RFC 5958), RSA PRIVATE KEY (PKCS #1, RFC 8017
// appendix A.1.2) or EC PRIVATE KEY (SEC 1, RFC 5915). White space may stand around it, and before
// the last one the EC PARAMETERS that openssl writes. [pem.Decode] alone would skip whatever it
// cannot read.
func FromPEM(text []byte) (Key, error) {
	if len(text) > MaxSize {
		return Key{}, errSize
	}
	const begin = "-----BEGIN "
	var signer crypto.Signer
	for rest := bytes.TrimSpace(text); len(rest) > 0; rest = bytes.TrimSpace(rest) {
		block, after := pem.Decode(rest)
		read := rest[:len(rest)-len(after)]
		switch {
		case block == nil && !bytes.Contains(rest, []byte(begin)) && signer == nil:
			return Key{}, errNoPEM
		case block == nil || !bytes.HasPrefix(read, []byte(begin)) || bytes.Count(read, []byte(begin)) != 1:
			return Key{}, errOutside
		}
		rest = after
		if block.Type == "EC PARAMETERS" && signer == nil {
			continue
		}
		found, err := fromBlock(block)
		switch {
		case err != nil:
			return Key{}, err
		case signer != nil:
			return Key{}, errSeveral
		}
		signer = found
	}
	if signer == nil {
		return Key{}, errNoPEM
	}
	return judge(Key{Signer: signer})
}

func fromBlock(block *pem.Block) (crypto.Signer, error) {
	var key any
	var err error
	switch kind := block.Type; {
	case kind == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "":
		return nil, errEncrypted
	case kind == "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case kind == "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case kind == "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	case kind == "OPENSSH PRIVATE KEY":
		return nil, errOpenSSH
	case strings.HasSuffix(kind, "PUBLIC KEY"):
		return nil, errPublic
	case strings.HasSuffix(kind, "CERTIFICATE"):
		return nil, errWithCert
	default:
		return nil, errBlock
	}
	var whole asn1.RawValue
	if rest, parseErr := asn1.Unmarshal(block.Bytes, &whole); err != nil || parseErr != nil || len(rest) > 0 {
		return nil, errDER // package x509 reads on over what follows a key
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, errType // such as X25519
	}
	return signer, nil
}
