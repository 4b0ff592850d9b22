"""Writes every frame of every interface of a network namespace to stdout.

A line comes first, when it listens.
"""

import socket
import sys

ETH_P_ALL = 3

with socket.socket(
    socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL)
) as tap:
    tap.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024 * 1024)
    print("listening", flush=True)
    while True:
        sys.stdout.buffer.write(tap.recv(256 * 1024))
        sys.stdout.buffer.flush()
