#!/usr/bin/env python3
"""Vectors for Ed25519 key blinding, from curve arithmetic over plain integers.

Independent of the Rust code on purpose: nothing here but integers and hashes. Writes JSON to standard output:
    python3 tests/vectors/blinding.py > docs/spec/vectors/blinding.json
"""

import hashlib
import hmac
import json

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = (-121665 * pow(121666, P - 2, P)) % P
BASE_Y = (4 * pow(5, P - 2, P)) % P


def recover_x(y, sign):
    x2 = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(x2, (P + 3) // 8, P)
    if (x * x - x2) % P != 0:
        x = x * pow(2, (P - 1) // 4, P) % P
    assert (x * x - x2) % P == 0
    return P - x if x % 2 != sign else x


BASE = (recover_x(BASE_Y, 0), BASE_Y)


def add(one, other):
    (x1, y1), (x2, y2) = one, other
    product = D * x1 * x2 * y1 * y2 % P
    x = (x1 * y2 + x2 * y1) * pow(1 + product, P - 2, P) % P
    y = (y1 * y2 + x1 * x2) * pow(1 - product, P - 2, P) % P
    return (x, y)


def multiply(scalar, point):
    result = (0, 1)
    while scalar:
        if scalar & 1:
            result = add(result, point)
        point = add(point, point)
        scalar >>= 1
    return result


def encode(point):
    x, y = point
    return (y | ((x & 1) << 255)).to_bytes(32, "little")


def hkdf(secret, info, length=32):
    pseudorandom = hmac.new(b"\0" * 32, secret, hashlib.sha256).digest()
    block, output, counter = b"", b"", 1
    while len(output) < length:
        block = hmac.new(pseudorandom, block + info + bytes([counter]), hashlib.sha256).digest()
        output += block
        counter += 1
    return output[:length]


def clamp(half):
    value = int.from_bytes(half, "little")
    return (value & ((1 << 254) - 8)) | (1 << 254)


def vector(number, kind, epoch, slot):
    seed = hashlib.sha256(b"seed %d" % number).digest()
    k = hashlib.sha256(b"secret %d" % number).digest()
    expanded = hashlib.sha512(seed).digest()
    a = clamp(expanded[:32])
    public = encode(multiply(a, BASE))
    place = epoch.to_bytes(8, "big") + bytes([slot])
    f = (
        int.from_bytes(
            hashlib.sha512(b"porchlight/blind/1\0" + bytes([kind]) + public + k + place).digest(), "little"
        )
        % L
    )
    blinded = f * a % L
    pk = encode(multiply(blinded, BASE))
    # The same point by the watcher's way, which has no scalar: f times A.
    assert pk == encode(multiply(f, multiply(a, BASE)))
    message = b"message %d" % number
    signed = b"porchlight/test/1\0" + message
    r = int.from_bytes(hashlib.sha512(b"any nonce %d" % number).digest(), "little") % L
    commitment = encode(multiply(r, BASE))
    challenge = int.from_bytes(hashlib.sha512(commitment + pk + signed).digest(), "little") % L
    s = (r + challenge * blinded) % L
    seconds = {1: 86400, 2: 30 * 86400}[kind]
    offset = int.from_bytes(hkdf(k, b"porchlight/epoch-offset/1\0" + bytes([kind]))[:8], "big") % seconds
    return {
        "seed": seed.hex(),
        "k": k.hex(),
        "kind": kind,
        "epoch": epoch,
        "slot": slot,
        "a": public.hex(),
        "pk": pk.hex(),
        "content_key": hkdf(k, b"porchlight/beacon-content/1\0" + bytes([kind]) + place).hex(),
        "offset": offset,
        "message": message.hex(),
        "signature": (commitment + s.to_bytes(32, "little")).hex(),
    }


VECTORS = [
    vector(number, kind, epoch, slot)
    for number, (kind, epoch, slot) in enumerate(
        [
            (1, 0, 0),
            (1, 20717, 0),
            (1, 20717, 1),
            (1, 20718, 0),
            (1, 2**40, 7),
            (2, 690, 0),
            (2, 691, 0),
            (2, 690, 3),
        ]
    )
]

if __name__ == "__main__":
    print(json.dumps(VECTORS, indent=2))
