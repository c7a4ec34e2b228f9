"""Certificate chains that cost whoever verifies them.

A key of 16384 bits with two primes takes minutes to make.  With 32 small ones
it takes a second, and to a verifier it is as good as any.
"""

import datetime
import functools
import math

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import Hash
from cryptography.x509.oid import NameOID

PRIMES, BITS = 32, 512
DIGEST_INFO = bytes.fromhex("3031300d060960864801650304020105000420")
ORDINARY = ec.generate_private_key(ec.SECP256R1())


class Rsa:
    def __init__(self):
        primes, e = [], (1 << 63) + 9  # the largest that is taken, and odd
        while len(primes) < PRIMES:
            made = rsa.generate_private_key(65537, 2 * BITS).private_numbers()
            primes += [p for p in (made.p, made.q)
                       if math.gcd(e, p - 1) == 1]
        self.n = math.prod(primes)
        self.parts = [(p, pow(e, -1, p - 1), self.n // p,
                       pow(self.n // p, -1, p)) for p in primes]
        self.public_key = rsa.RSAPublicNumbers(e, self.n).public_key()

    def sign(self, text):
        digest = Hash(hashes.SHA256())
        digest.update(text)
        size = (self.n.bit_length() + 7) // 8
        tail = b"\0" + DIGEST_INFO + digest.finalize()
        padded = int.from_bytes(
            b"\0\1" + b"\xff" * (size - 2 - len(tail)) + tail, "big")
        return (sum(pow(padded, d, p) * rest * inverse
                    for p, d, rest, inverse in self.parts) %
                self.n).to_bytes(size, "big")


def der(tag, body):
    size = len(body)
    if size < 128:
        return bytes([tag, size]) + body
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + body


RSA_SHA256 = bytes.fromhex("300d06092a864886f70d01010b0500")


def name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def certificate(subject, issuer, public_key, signer):
    now = datetime.datetime.now(datetime.timezone.utc)
    day = datetime.timedelta(days=1)
    made = (x509.CertificateBuilder()
            .subject_name(name(subject)).issuer_name(name(issuer))
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - day).not_valid_after(now + 30 * day)
            .add_extension(x509.BasicConstraints(True, None), True))
    if not isinstance(signer, Rsa):
        return made.sign(signer, hashes.SHA256()).public_bytes(
            serialization.Encoding.DER)
    # signed by a key of the same kind, for the bytes that are signed
    tbs = made.sign(small_rsa(), hashes.SHA256()).tbs_certificate_bytes
    return der(0x30, tbs + RSA_SHA256 + der(3, b"\0" + signer.sign(tbs)))


@functools.cache
def small_rsa():
    return rsa.generate_private_key(65537, 2048)


def write(folder, stem, links, large):
    """A chain of so many links, its leaf's key beside it; large: RSA with
    16384 bits.  The paths."""
    key = Rsa() if large else ORDINARY
    public = key.public_key if large else key.public_key()
    ders = [certificate("leaf", "ca1", ORDINARY.public_key(), key)]
    ders += [certificate(f"ca{n}", f"ca{n + 1}", public, key)
             for n in range(1, links)]
    chain, private = folder / f"{stem}.pem", folder / f"{stem}.key"
    chain.write_bytes(b"".join(
        x509.load_der_x509_certificate(d).public_bytes(
            serialization.Encoding.PEM) for d in ders))
    private.write_bytes(ORDINARY.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption()))
    return str(chain), str(private)
