"""Makes many connections at once and says how many of them stay open.

The first line of stdin is JSON: the address and port to connect to, the
addresses to connect from, how many from each, and what each sends first, in
turn, as latin-1. With "tls" each does the handshake, and shows a certificate
where paths are named. The answer is a line with how many were made and how many
are open. Each further line asks again; the end of stdin ends them all.
"""

import json
import resource
import socket
import ssl
import sys

hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

given = json.loads(sys.stdin.readline())
context = None
if "tls" in given:
    context = ssl.create_default_context(cafile=given["tls"]["caPath"])
    context.check_hostname = False
    if given["tls"].get("certPath"):
        context.load_cert_chain(given["tls"]["certPath"], given["tls"]["keyPath"])


def connect(source, start):
    """A connection, or nothing where it was closed at once."""
    bare = socket.socket()
    try:
        bare.bind((source, 0))
        bare.settimeout(10)
        bare.connect((given["host"], given["port"]))
        client = context.wrap_socket(bare) if context else bare
        if start:
            client.sendall(start)
        client.setblocking(False)
        return client
    except OSError:
        bare.close()
        return None


def is_open(client):
    """Whether the server has left a connection open, once all it has sent is read."""
    if client is None:
        return False
    try:
        while client.recv(65536):
            pass
        return False
    except (BlockingIOError, ssl.SSLWantReadError):
        return True
    except OSError:
        return False


starts = [text.encode("latin-1") for text in given["starts"]]
clients = []
for i in range(given["each"]):
    for source in given["from"]:
        clients.append(connect(source, starts[len(clients) % len(starts)]))
while True:
    print(
        json.dumps({
            "made": len(clients),
            "open": sum(is_open(client) for client in clients),
        }),
        flush=True,
    )
    if not sys.stdin.readline():
        break
