"""A token server of the distribution project's token authentication, for one scenario.

Arguments: a directory with `server.pem` (certificate), `server.key`, `token.pem` and `token.key`, and the port.
Whoever says `me` and `secret` gets a token of RS256 for all that is asked. Requests go to `token.log` there.
"""

import base64
import http.server
import json
import ssl
import subprocess
import sys
import time
from urllib.parse import parse_qs, urlparse

directory, port = sys.argv[1], int(sys.argv[2])


def encoded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(service, scopes):
    der = subprocess.run(["openssl", "x509", "-in", f"{directory}/token.pem", "-outform", "DER"], capture_output=True).stdout
    now = int(time.time())
    access = []
    for scope in scopes:
        kind, rest = scope.split(":", 1)
        name, actions = rest.rsplit(":", 1)
        access.append({"type": kind, "name": name, "actions": actions.split(",")})
    header = {"typ": "JWT", "alg": "RS256", "x5c": [base64.b64encode(der).decode()]}
    claims = {"iss": "tokens", "sub": "me", "aud": service, "exp": now + 300, "nbf": now - 10, "iat": now, "jti": str(now), "access": access}
    text = ".".join(encoded(json.dumps(part).encode()) for part in (header, claims))
    signed = subprocess.run(["openssl", "dgst", "-sha256", "-sign", f"{directory}/token.key"], input=text.encode(), capture_output=True)
    return text + "." + encoded(signed.stdout)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        with open(f"{directory}/token.log", "a") as log:
            log.write(f"{self.path}\n")
        query = parse_qs(urlparse(self.path).query)
        given = self.headers.get("Authorization") == "Basic " + base64.b64encode(b"me:secret").decode()
        body = {"token": token(query["service"][0], query.get("scope", []))} if given else {"errors": [{"code": "UNAUTHORIZED", "message": "wrong password"}]}
        data = json.dumps(body).encode()
        self.send_response(200 if given else 401)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


server = http.server.HTTPServer(("127.0.0.1", port), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(f"{directory}/server.pem", f"{directory}/server.key")
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
