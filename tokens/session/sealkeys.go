package session

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/bearer-go/bearer/internal/atomicfile"
)

// SealKeys returns the keys that records and logins are sealed with, 32 random bytes each: the
// first seals, and all of them open. To change the key add a new one second, wherever the records
// are read; when all have it, move it to the front. A record goes over to it when it is saved next,
// and the old key can go when all have been. One key is good for 2^32 times of saving (NIST SP
// 800-38D section 8.3).
//
// [SealKeysFromFile] makes one; for a keyring or a key management service write one's own, and let
// it remember what it got: it is called each time that a record is loaded or saved, from several
// goroutines at once. It returns when the context ends. An error means that there is no key now;
// the record is not lost by it.
type SealKeys func(ctx context.Context) ([][]byte, error)

const (
	sealKeySize = 32      // bytes: AES-256
	maxKeyFile  = 4 << 10 // bytes of a file with keys, which are some 60 of them
)

// SealKeysFromFile takes the keys from a file: 44 characters of base64 or 64 of hexadecimal each,
// one a line, the first one first. The command openssl rand -base64 32 makes a key. The file is
// read each time, so that a new key needs no restart.
//
// It must be a regular file of at most 4 KiB that only its owner may read or write (0600 or less),
// who is the user that this process runs as, or root. Windows has other permissions, which are not
// looked at.
func SealKeysFromFile(path string) SealKeys {
	return func(context.Context) ([][]byte, error) {
		if path == "" {
			return nil, errors.New("the path of the file with the keys is empty")
		}
		text, err := readKeyFile(path)
		if err != nil {
			return nil, err
		}
		return parseSealKeys(text)
	}
}

func readKeyFile(path string) (string, error) {
	text, err := atomicfile.Read(os.OpenFile, path, maxKeyFile, func(info fs.FileInfo) error {
		switch {
		case !info.Mode().IsRegular():
			return errors.New("the file with the keys is not a regular file")
		case atomicfile.Allows(info, 0o077):
			return errors.New("the file with the keys is open to others: allow only its owner to read or write it (chmod 0600)")
		case atomicfile.IsStrangers(info):
			return errors.New("the file with the keys belongs to another user than this process runs as")
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	if len(text) > maxKeyFile {
		return "", fmt.Errorf("the file with the keys is longer than %d bytes", maxKeyFile)
	}
	return string(text), nil
}

// parseSealKeys reads keys. No error quotes any of the text: it may be a key with a typing error.
func parseSealKeys(text string) ([][]byte, error) {
	var keys [][]byte
	for field := range strings.FieldsSeq(text) {
		var key []byte
		var err error
		switch len(field) {
		case base64.StdEncoding.EncodedLen(sealKeySize):
			key, err = base64.StdEncoding.Strict().DecodeString(field)
		case hex.EncodedLen(sealKeySize):
			key, err = hex.DecodeString(field)
		}
		if err != nil || len(key) != sealKeySize {
			return nil, fmt.Errorf("key %d is neither %d characters of base64 nor %d of hexadecimal, which 32 bytes have",
				len(keys)+1, base64.StdEncoding.EncodedLen(sealKeySize), hex.EncodedLen(sealKeySize))
		}
		keys = append(keys, key)
	}
	return keys, nil
}
