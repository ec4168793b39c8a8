#!/usr/bin/env python3
"""A home's key wrapped under a passphrase, made without the Rust code, by what docs/storage.md says.

Needs the package `cryptography` for Argon2id and ChaCha20-Poly1305; XChaCha20 and HKDF are written out. Writes hex:
    python3 tests/vectors/wrapped_key.py > tests/vectors/wrapped_key.hex
"""

import hashlib
import hmac
import struct

from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

PASSPHRASE = b"a lamp on the porch"
MEMORY, PASSES, LANES = 19 * 1024, 2, 1
SALT = bytes(range(16))


def rotate(value, by):
    return ((value << by) | (value >> (32 - by))) & 0xFFFFFFFF


def quarter(s, a, b, c, d):
    for x, y, z, by in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
        s[x] = (s[x] + s[y]) & 0xFFFFFFFF
        s[z] = rotate(s[z] ^ s[x], by)


def hchacha20(key, nonce):
    s = list(struct.unpack("<4I", b"expand 32-byte k") + struct.unpack("<8I", key) + struct.unpack("<4I", nonce))
    for _ in range(10):
        for a, b, c, d in ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15)):
            quarter(s, a, b, c, d)
        for a, b, c, d in ((0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)):
            quarter(s, a, b, c, d)
    return struct.pack("<8I", *s[:4], *s[12:])


def seal(key, nonce, secret, aad):
    inner = hchacha20(key, nonce[:16])
    return nonce + ChaCha20Poly1305(inner).encrypt(b"\0\0\0\0" + nonce[16:], secret, aad)


def hkdf(key, info):
    extracted = hmac.new(bytes(32), key, hashlib.sha256).digest()
    return hmac.new(extracted, info + b"\x01", hashlib.sha256).digest()


header = b"plkey" + bytes([1, 1, LANES]) + struct.pack(">II", MEMORY, PASSES) + SALT
stretched = Argon2id(salt=SALT, length=32, iterations=PASSES, lanes=LANES, memory_cost=MEMORY).derive(PASSPHRASE)
store = seal(hkdf(stretched, b"porchlight/wrap-store/1"), bytes([1] * 24), bytes([7] * 32), header)
root = seal(hkdf(stretched, b"porchlight/wrap-root/1"), bytes([2] * 24), bytes([9] * 32), header)
print((header + store + root).hex())
