"""Receives what services tell systemd (sd_notify(3)): a line of JSON a message."""

import json
import socket
import struct
import sys


def answers(path):
    """Whether something listens on a unix socket at this moment."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        try:
            client.connect(path)
        except OSError:
            return False
        return True


name, service = sys.argv[1:]
receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
receiver.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
receiver.bind("\0" + name[1:] if name.startswith("@") else name)
print("{}", flush=True)
while True:
    data, ancillary, _, _ = receiver.recvmsg(4096, socket.CMSG_SPACE(12))
    [(_, _, credentials)] = ancillary
    pid, _, _ = struct.unpack("3i", credentials)
    message = {"lines": data.decode().split("\n"), "pid": pid, "serves": answers(service)}
    print(json.dumps(message), flush=True)
