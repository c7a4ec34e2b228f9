"""Certificates for tests: a CA of our own, and all that can be wrong."""

import datetime
import hashlib
import pathlib
import shutil
import tempfile

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = datetime.timedelta(days=1)


class Cert:
    """A chain and its key as PEM files."""

    def __init__(self, folder, stem, certificate, key, issuer=None):
        self.certificate, self.key = certificate, key
        self.cert_path = folder / f"{stem}.pem"
        self.key_path = folder / f"{stem}.key"
        chain = [certificate] + ([issuer] if issuer is not None else [])
        self.cert_path.write_bytes(b"".join(
            c.public_bytes(serialization.Encoding.PEM) for c in chain))
        self.key_path.write_bytes(key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption()))
        self.cert_path.chmod(0o644)
        self.key_path.chmod(0o644)

    def tlsa(self, usage=3, selector=1, matching=1, wrong=False):
        """The data of a TLSA record that matches it (or does not)."""
        if selector == 0:
            data = self.certificate.public_bytes(serialization.Encoding.DER)
        else:
            data = self.certificate.public_key().public_bytes(
                serialization.Encoding.DER,
                serialization.PublicFormat.SubjectPublicKeyInfo)
        if wrong:
            data += b"?"
        if matching:
            data = (hashlib.sha256 if matching == 1 else
                    hashlib.sha512)(data).digest()
        return f"{usage} {selector} {matching} {data.hex()}"


class Pki:
    def __init__(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="mx20-pki-"))
        self.dir.chmod(0o755)
        self.made = 0
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME,
                                             "mx20 test CA")])
        self.ca = Cert(self.dir, "ca",
                       self._build(name, name, key, key, ca=True), key)

    @property
    def ca_file(self):
        return str(self.ca.cert_path)

    def _build(self, subject, issuer, key, issuer_key, names=(), start=-1,
               end=30, ca=False):
        now = datetime.datetime.now(datetime.timezone.utc)
        builder = (x509.CertificateBuilder()
                   .subject_name(subject).issuer_name(issuer)
                   .public_key(key.public_key())
                   .serial_number(x509.random_serial_number())
                   .not_valid_before(now + start * DAY)
                   .not_valid_after(now + end * DAY)
                   .add_extension(x509.BasicConstraints(
                       ca=ca, path_length=None), critical=True))
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(
                [x509.DNSName(n) for n in names]), critical=False)
        return builder.sign(issuer_key, hashes.SHA256())

    def cert(self, *names, expired=False, self_signed=False, days=30):
        """A certificate for these DNS names, by our CA unless told."""
        self.made += 1
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME,
                                                names[0][:60])])
        ca = self.ca.certificate
        start, end = (-30, -2) if expired else (-1, days)
        made = self._build(subject, subject if self_signed else ca.subject,
                           key, key if self_signed else self.ca.key,
                           names, start, end)
        return Cert(self.dir, f"cert{self.made}", made, key,
                    None if self_signed else ca)

    def close(self):
        shutil.rmtree(self.dir, ignore_errors=True)
