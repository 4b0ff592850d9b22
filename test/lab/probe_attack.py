"""Attacks the responder of probes from the link, and counts its answers.

Usage: probe_attack.py PROBER RESPONDER STRANGER, three IPv4 addresses. Records
a genuine request of the prober to the responder, sends copies and forgeries of
it as raw frames, and prints as JSON what came back within three seconds.
"""

import json
import socket
import struct
import sys
import time

ETH_P_ALL = 3
PORT = 9002
PACKET_BYTES = 72
REQUEST, ANSWER = 1, 2
COPIES = 20

prober, responder, stranger = map(socket.inet_aton, sys.argv[1:4])
link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024 * 1024)
link.bind(("eth0", 0))


def probe_in(frame):
    """The source, destination and payload of a probe in a frame."""
    if frame[12:14] != b"\x08\x00" or frame[23] != socket.IPPROTO_UDP:
        return None
    header = 14 + 4 * (frame[14] & 15)
    if struct.unpack("!H", frame[header + 2 : header + 4])[0] != PORT:
        return None
    return frame[26:30], frame[30:34], frame[header + 8 :]


def checksum(header):
    total = sum(struct.unpack("!10H", header))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


def frame_of(recorded, source, payload):
    """The recorded frame with another source and payload; without the checksum of UDP."""
    ip = bytearray(recorded[14:34])
    struct.pack_into("!H", ip, 2, 28 + len(payload))
    struct.pack_into("!H", ip, 10, 0)
    ip[12:16] = source
    struct.pack_into("!H", ip, 10, checksum(bytes(ip)))
    udp = struct.pack("!4H", PORT, PORT, 8 + len(payload), 0)
    return recorded[:14] + bytes(ip) + udp + payload


while True:
    recorded = link.recv(65536)
    found = probe_in(recorded)
    if found is None or found[:2] != (prober, responder):
        continue
    payload = found[2]
    if len(payload) == PACKET_BYTES and payload[4] == REQUEST:
        break

number = struct.unpack("!I", payload[24:28])[0]
forged = bytearray(payload)
struct.pack_into("!I", forged, 24, number + 1000)
# Until the genuine answer is through.
time.sleep(0.3)
for _ in range(COPIES):
    link.send(frame_of(recorded, prober, payload))
    link.send(frame_of(recorded, prober, bytes(forged)))
    link.send(frame_of(recorded, stranger, payload))
    link.send(frame_of(recorded, stranger, bytes(forged)))
    link.send(frame_of(recorded, stranger, bytes(1400)))

echoes = []
to_stranger = 0
sizes = []
link.settimeout(0.5)
deadline = time.monotonic() + 3
while time.monotonic() < deadline:
    try:
        frame = link.recv(65536)
    except socket.timeout:
        continue
    # Frames of this host itself, and what is asked before a packet to a stranger.
    if frame[12:14] == b"\x08\x06" and frame[38:42] == stranger:
        to_stranger += 1
    found = probe_in(frame)
    if found is None or found[0] != responder:
        continue
    if found[1] == stranger:
        to_stranger += 1
    if found[1] == prober and found[2][4] == ANSWER:
        echoes.append(struct.unpack("!I", found[2][28:32])[0])
        sizes.append(len(found[2]))

print(
    json.dumps(
        {
            "toRecorded": echoes.count(number),
            "toForged": echoes.count(number + 1000),
            "toStranger": to_stranger,
            "answers": len(echoes),
            "largest": max(sizes, default=0),
            "request": len(payload),
        }
    )
)
