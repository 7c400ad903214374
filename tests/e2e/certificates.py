"""Certificate authorities for tests, by the openssl program."""

import ssl
import subprocess


def openssl(*arguments):
    return subprocess.run(["openssl", *map(str, arguments)], check=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, encoding="utf-8").stdout


def end_of(certificate):
    """When a certificate ends, as Unix time."""
    said = openssl("x509", "-in", certificate, "-noout", "-enddate")  # notAfter=Nov 29 12:00:00 2026 GMT
    return ssl.cert_time_to_seconds(said.strip().partition("=")[2])


class Authority:
    """A certificate authority in a folder."""

    def __init__(self, folder, name, days=2):
        self.folder = folder
        self.certificate = folder / f"{name}.pem"
        self._key = folder / f"{name}.key"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", days, "-subj",
                f"/CN={name}", "-keyout", self._key, "-out", self.certificate)

    def sign(self, name, alternative):
        """A key and a certificate with that common name and subject alternative name."""
        key, request, certificate = (self.folder / f"{name}.{end}" for end in ("key", "csr", "pem"))
        extensions = self.folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName={alternative}\n", encoding="utf-8")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}", "-keyout",
                key, "-out", request)
        openssl("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self._key, "-CAcreateserial", "-days",
                "2", "-extfile", extensions, "-out", certificate)
        return key, certificate


def put(source, target):
    """Puts a copy of the file `source` in the place of `target` at once, as a rotation does."""
    part = target.with_suffix(".part")
    part.write_bytes(source.read_bytes())
    part.rename(target)
