"""Plays a server that it is not, and records what it is sent.

The argument is JSON: the address and port to listen on, a mode, and what the
mode needs. A line in JSON goes to stdout when it listens, and one for each
thing that is received, with the bytes in base64:

    raw      as it came over the wire
    clear    what TLS was to protect
    back     what was passed on in the other direction
    refused  why a handshake has failed
    ended    nothing: a connection is over

Modes: "text" answers with a text, "silent" with nothing; "tls" shows a
certificate; "relay" passes all on to another server; "terminate" shows a
certificate, and passes on what is in the connection over one of its own.
"""

import base64
import json
import socket
import ssl
import sys
import threading

given = json.loads(sys.argv[1])
mode = given["mode"]
lock = threading.Lock()


def tell(what, data=b""):
    text = base64.b64encode(data).decode()
    with lock:
        print(json.dumps({"what": what, "data": text}), flush=True)


def server_context():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(given["certPath"], given["keyPath"])
    return context


def client_context():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def connect():
    return socket.create_connection((given["to"], given["port"]), 10)


def pump(source, sink, what):
    try:
        while data := source.recv(65536):
            tell(what, data)
            sink.sendall(data)
    except OSError:
        pass
    for end in (source, sink):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def relay(near, far, names):
    back = threading.Thread(target=pump, args=(far, near, names[1]))
    back.start()
    pump(near, far, names[0])
    back.join()


def serve_text(near):
    tell("raw", near.recv(65536))
    near.sendall(given["text"].encode())
    serve_silence(near)


def serve_silence(near):
    while data := near.recv(65536):
        tell("raw", data)


def serve_tls(near):
    """With TLS in memory, so that both sides of it are seen."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_side=True)
    is_secure = False
    while data := near.recv(65536):
        tell("raw", data)
        incoming.write(data)
        try:
            if not is_secure:
                tls.do_handshake()
                is_secure = True
            while data := tls.read(65536):
                tell("clear", data)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            tell("refused", str(error).encode())
            return
        finally:
            if outgoing.pending:
                near.sendall(outgoing.read())


def terminate(near):
    with context.wrap_socket(near, server_side=True) as inner:
        with client_context().wrap_socket(connect()) as far:
            relay(inner, far, ("clear", "back"))


def serve(near):
    with near:
        try:
            if mode == "text":
                serve_text(near)
            elif mode == "silent":
                serve_silence(near)
            elif mode == "tls":
                serve_tls(near)
            elif mode == "terminate":
                terminate(near)
            else:
                with connect() as far:
                    relay(near, far, ("raw", "back"))
        except OSError as error:
            tell("refused", str(error).encode())
    tell("ended")


context = server_context() if mode in ("tls", "terminate") else None
with socket.create_server((given["address"], given["port"])) as server:
    tell("listening")
    while True:
        near, _ = server.accept()
        threading.Thread(target=serve, args=(near,), daemon=True).start()
