// Package jws reads, verifies and signs JSON Web Signatures in compact serialization (RFC 7515
// section 7.1).
//
// It has the module's one table of algorithms: which signature each name stands for (RFC 7518
// section 3, RFC 8037, RFC 9864), and which keys may be used with it.
package jws
