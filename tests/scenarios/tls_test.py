"""Tests with TLS: certificates made by openssl(1) in a folder of their own, and clients whose connections are Python's ssl."""
import contextlib
import os
import shutil
import socket
import ssl
import tempfile
import time

from processes import Closed, run
from web_clients import WebTest

HERE = "127.0.0.1:0"
LISTEN = tuple("%s://%s" % (scheme, HERE) for scheme in ("flash+tls", "https", "packet+tls", "http"))


class Certificates:
    """A folder with an authority (ca.pem) and what it has signed: NAME.pem and NAME.key."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="janus-test-")
        self._openssl("req", "-x509", "-subj", "/CN=who signs", "-days", "2", *self._new_key("ca"), "-out", self.path("ca.pem"))

    def path(self, name):
        return os.path.join(self.folder, name)

    def _openssl(self, *arguments):
        status, _, err = run("openssl", *arguments)
        if status != 0:
            raise AssertionError("openssl %s: %s" % (arguments[0], err))

    def _new_key(self, name, rsa=False):
        kind = ["-newkey", "rsa:2048"] if rsa else ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        return [*kind, "-nodes", "-keyout", self.path(name + ".key")]

    def make(self, name, *names, rsa=False, expired=False):
        """"CERT KEY", as tls_certificate has it, for these names of DNS."""
        signer = ["-CA", self.path("ca.pem"), "-CAkey", self.path("ca.key"), "-out", self.path(name + ".pem")]
        subject = ["-subj", "/CN=" + name, "-addext", "subjectAltName=" + ",".join("DNS:" + n for n in names or (name,)), *self._new_key(name, rsa)]
        if expired:
            self._openssl("req", "-new", *subject, "-out", self.path(name + ".csr"))
            self._openssl("x509", "-req", "-in", self.path(name + ".csr"), "-days", "-1", *signer)
        else:
            self._openssl("req", "-x509", *subject, "-days", "2", *signer)
        return self.pair(name)

    def make_until(self, name, seconds):
        """One that is good for so long from now. When it ends, as time.time()."""
        with open(self.path("ca.conf"), "w") as f:
            f.write("[ca]\ndefault_ca = a\n[a]\ndatabase = %s\nnew_certs_dir = %s\nserial = %s\npolicy = p\n[p]\ncommonName = supplied\n" % (self.path("issued"), self.folder, self.path("serial")))
        open(self.path("issued"), "w").close()
        self._openssl("req", "-new", "-subj", "/CN=" + name, *self._new_key(name), "-out", self.path(name + ".csr"))
        end = int(time.time() + seconds)
        self._openssl("ca", "-batch", "-config", self.path("ca.conf"), "-md", "sha256", "-rand_serial", "-notext", "-enddate", time.strftime("%Y%m%d%H%M%SZ", time.gmtime(end)), "-in", self.path(name + ".csr"),
                      "-cert", self.path("ca.pem"), "-keyfile", self.path("ca.key"), "-out", self.path(name + ".pem"))
        return end

    def pair(self, name, key=None):
        return "%s %s" % (self.path(name + ".pem"), self.path((key or name) + ".key"))

    def context(self):
        """Of a client who trusts the authority."""
        return ssl.create_default_context(cafile=self.path("ca.pem"))

    def client(self):
        """What makes TLS of a socket that is connected to localhost."""
        context = self.context()
        return lambda plain: context.wrap_socket(plain, server_hostname="localhost")

    def remove(self):
        shutil.rmtree(self.folder, ignore_errors=True)


def client_hello():
    """What a client sends first."""
    context, sent = ssl.create_default_context(), ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), sent, server_hostname="localhost").do_handshake()
    return sent.read()


def whole(data):
    return [data]


class Crafted:
    """A connection whose records are made by libssl in memory, so that a test sends of them what it likes."""

    def __init__(self, context, plain, header=b"", pieces=whole, urgent=None):
        """`plain`: a connected socket. Its first flight goes out behind `header`, in `pieces`; `urgent`: which byte of each flight is sent so."""
        self.socket = plain
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.coming, self.going = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.coming, self.going, server_hostname="localhost")
        while True:
            try:
                self.tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                for piece in pieces(header + self.going.read()):
                    self.send(piece, urgent)
                header, pieces = b"", whole
                self.take()
        self.rest = self.going.read()       # Finished, which goes out with what is said first

    def send(self, data, urgent=None):
        if urgent is None or urgent >= len(data):
            self.socket.sendall(data)
            return
        self.socket.sendall(data[:urgent])
        self.socket.send(data[urgent:urgent + 1], socket.MSG_OOB)
        self.socket.sendall(data[urgent + 1:])

    def take(self):
        data = self.socket.recv(65536)
        if data:
            self.coming.write(data)
        else:
            self.coming.write_eof()

    def record(self, text):
        self.tls.write(text)
        data, self.rest = self.rest + self.going.read(), b""
        return data

    def end(self):
        """close_notify"""
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.unwrap()
        return self.going.read()

    def read(self):
        """What has come; b"": it has ended."""
        while True:
            try:
                return self.tls.read(65536)
            except ssl.SSLWantReadError:
                self.take()
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                return b""

    def until(self, text, times=1):
        """Reads up to so many of this text."""
        got = b""
        while got.count(text) < times:
            data = self.read()
            if not data:
                raise Closed("the connection was closed, with %r" % got[-200:])
            got += data
        return got


class TlsTest(WebTest):
    """A WebTest whose clients speak TLS: flash(), http(), websocket() and the others are at the addresses with TLS; plain HTTP is at `plain`."""

    def setUp(self):
        super().setUp()
        self.certificates = Certificates()
        self.addCleanup(self.certificates.remove)
        self.certificates.make("localhost")

    def serve(self, *options, certificate=None, listen=LISTEN, **more):
        certificate = certificate or self.certificates.pair("localhost")
        super().serve("tls_certificate=" + certificate, *options, listen=listen, **more)
        self.plain = self._addresses.get("http")
        self._addresses["http"] = self._addresses["https"]

    def context(self, version=None, suites=None, certificate=None, alpn=None):
        """Of a client who trusts the authority."""
        context = self.certificates.context()
        if version:
            context.minimum_version = context.maximum_version = version
        if suites:
            context.set_ciphers(suites)
        if certificate:
            context.load_cert_chain(self.certificates.path(certificate + ".pem"), self.certificates.path(certificate + ".key"))
        if alpn:
            context.set_alpn_protocols(alpn)
        return context

    def tls(self, context=None, name="localhost", session=None, **more):
        """What makes TLS of a connected socket. One context that is used again has one session to go on with (`session`)."""
        context = context or self.context(**more)
        return lambda plain: context.wrap_socket(plain, server_hostname=name, session=session)

    def connect(self, kind, protocol, **more):
        more.setdefault("tls", self.tls())
        return super().connect(kind, protocol, **more)
