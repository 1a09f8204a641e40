"""The peers that the table's clients talk to, on loopback ports of the kernel's choice.

Run in the tools' sysroot. It prints one line of JSON when all of them listen: their ports, and a key for ssh.
psql's and mariadb's are as much of the protocols as a client needs for one query; the rest is the real thing.
"""

import http.server
import json
import os
import socket
import socketserver
import ssl
import struct
import subprocess
import threading

WORK = "/dev/shm/peers"
WWW = f"{WORK}/www"


def run(*argv, **more):
    return subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, **more)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def await_port(port):
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return port


def in_background(server):
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


class Quiet(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, *args):
        super().__init__(*args, directory=WWW)

    def log_message(self, *args):
        pass


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, *args):
        pass  # a client that trusts nobody hangs up in the handshake


def https():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain("/srv/peers/server.pem", "/srv/peers/server.key")
    server = Server(("127.0.0.1", 0), Quiet)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    return in_background(server)


def repository():
    """A bare repository of one commit, which is served as plain files."""
    source, env = f"{WORK}/source", dict(os.environ, HOME=WORK, GIT_CONFIG_NOSYSTEM="1")
    for name in ("AUTHOR", "COMMITTER"):
        env |= {f"GIT_{name}_NAME": "A", f"GIT_{name}_EMAIL": "a@example.org"}
    run("git", "init", "-q", "-b", "main", source, env=env)
    with open(f"{source}/README", "w") as file:
        file.write("over the wire\n")
    run("git", "-C", source, "add", "README", env=env)
    run("git", "-C", source, "commit", "-q", "-m", "the first", env=env)
    run("git", "clone", "-q", "--bare", source, f"{WWW}/repo.git", env=env)
    run("git", "-C", f"{WWW}/repo.git", "update-server-info", env=env)


def sshd():
    port = free_port()
    for name in ("host", "id"):
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{WORK}/{name}")
    with open(f"{WORK}/sshd_config", "w") as file:
        file.write(
            f"Port {port}\nListenAddress 127.0.0.1\nHostKey {WORK}/host\nAuthorizedKeysFile {WORK}/id.pub\n"
            "StrictModes no\nUsePAM no\nPasswordAuthentication no\nPidFile none\n"
            "Subsystem sftp /usr/lib/openssh/sftp-server\n"
        )
    os.makedirs("/run/sshd", exist_ok=True)
    subprocess.Popen(["/usr/sbin/sshd", "-D", "-f", f"{WORK}/sshd_config"], stderr=subprocess.DEVNULL)
    return await_port(port)


def redis():
    port = free_port()
    argv = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", WORK]
    subprocess.Popen(argv, stdout=subprocess.DEVNULL)
    return await_port(port)


class Stream(socketserver.StreamRequestHandler):
    def exactly(self, count):
        data = self.rfile.read(count)
        if len(data) < count:
            raise ConnectionError
        return data


class Postgres(Stream):
    """https://www.postgresql.org/docs/15/protocol-flow.html, without authentication."""

    def tell(self, kind, body=b""):
        self.wfile.write(kind + struct.pack("!i", len(body) + 4) + body)

    def handle(self):
        try:
            while True:
                (length,) = struct.unpack("!i", self.exactly(4))
                (code,) = struct.unpack("!i", self.exactly(length - 4)[:4])
                if code == 196608:
                    break
                self.wfile.write(b"N")  # neither TLS nor GSSAPI
            self.tell(b"R", struct.pack("!i", 0))
            for name, value in (("server_version", "15.0"), ("client_encoding", "UTF8")):
                self.tell(b"S", name.encode() + b"\0" + value.encode() + b"\0")
            self.tell(b"Z", b"I")
            while True:
                kind = self.exactly(1)
                (length,) = struct.unpack("!i", self.exactly(4))
                self.exactly(length - 4)
                if kind == b"X":
                    return
                self.tell(b"T", struct.pack("!h", 1) + b"answer\0" + struct.pack("!ihihih", 0, 0, 25, -1, -1, 0))
                self.tell(b"D", struct.pack("!hi", 1, 2) + b"42")
                self.tell(b"C", b"SELECT 1\0")
                self.tell(b"Z", b"I")
        except ConnectionError:
            pass


class MariaDb(Stream):
    """https://mariadb.com/kb/en/clientserver-protocol/: any password is right, any query has one row."""

    def tell(self, body):
        self.wfile.write(struct.pack("<I", len(body))[:3] + bytes([self.sequence]) + body)
        self.sequence += 1

    def hear(self):
        header = self.exactly(4)
        self.sequence = header[3] + 1
        return self.exactly(int.from_bytes(header[:3], "little"))

    def ok(self):
        self.tell(b"\0\0\0\2\0\0\0")

    def rows(self, column, value):
        text = lambda word: bytes([len(word)]) + word
        self.tell(b"\1")
        name = text(b"def") + text(b"") * 3 + text(column) + text(b"")
        self.tell(name + b"\x0c" + struct.pack("<HIBHBH", 33, 64, 253, 0, 0, 0))
        self.tell(b"\xfe\0\0\2\0")
        self.tell(text(value))
        self.tell(b"\xfe\0\0\2\0")

    def handle(self):
        self.sequence = 0
        capabilities = 0x0001 | 0x0200 | 0x8000 | 0x2000 | (1 << 19)
        low, high = capabilities & 0xFFFF, capabilities >> 16
        self.tell(
            b"\x0a10.11.0-MariaDB\0" + struct.pack("<I", 1) + b"12345678\0" + struct.pack("<HBHH", low, 33, 2, high)
            + bytes([21]) + bytes(10) + b"123456789012\0" + b"mysql_native_password\0"
        )
        try:
            self.hear()
            self.ok()
            while True:
                query = self.hear()
                if query[:1] == b"\1":
                    return
                if query[:1] == b"\3" and b"answer" in query:
                    self.rows(b"answer", b"42")
                else:
                    self.ok()
        except ConnectionError:
            pass


class Dns(socketserver.BaseRequestHandler):
    """RFC 1035: every name has the address 192.0.2.7."""

    def handle(self):
        query, reply = self.request
        end = 12
        while query[end]:
            end += query[end] + 1
        question = query[12 : end + 5]
        is_address = question[-4:-2] == b"\0\1"
        header = query[:2] + b"\x85\x80" + struct.pack("!HHHH", 1, int(is_address), 0, 0)
        answer = b"\xc0\x0c\0\1\0\1" + struct.pack("!IH", 60, 4) + bytes([192, 0, 2, 7])
        reply.sendto(header + question + (answer if is_address else b""), self.client_address)


def threaded(handler):
    return in_background(socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler))


os.makedirs(WWW)
with open(f"{WWW}/hello.txt", "w") as file:
    file.write("hello over TLS\n")
repository()
ready = {
    "https": https(),
    "ssh": sshd(),
    "redis": redis(),
    "postgres": threaded(Postgres),
    "mariadb": threaded(MariaDb),
    "dns": in_background(socketserver.ThreadingUDPServer(("127.0.0.1", 0), Dns)),
}
with open(f"{WORK}/id") as file:
    ready["key"] = file.read()
print(json.dumps(ready), flush=True)
threading.Event().wait()
