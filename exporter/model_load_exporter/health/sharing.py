"""A port that the workers of one server share and nobody else: SO_REUSEPORT alone lets any two services share one."""

from __future__ import annotations

import errno
import os
import socket
import sys
import time

from model_load_exporter.health import kin

_BACKLOG = 128
_LISTENING = "0A"
_MAPPED = bytes(10) + b"\xff\xff"
_LEAVE_SECONDS = 1.5
"""For so long a stranger may still be the side process of a service that has just ended."""


def listen(host: str, port: int, server: int) -> socket.socket:
    """A listening socket on a port that is free, or that only processes of this server listen on.

    server: the process that all workers have in common. Raises OSError; EADDRINUSE for a port of somebody else.
    """
    # Bound here, so that a port that is taken is told where somebody can see it.
    family = socket.AF_INET6 if ":" in host or (not host and socket.has_dualstack_ipv6()) else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(bool(host)))
        bound.bind((host, port))
        deadline = time.monotonic() + _LEAVE_SECONDS
        while _strangers(bound, server):
            if time.monotonic() > deadline:
                raise OSError(errno.EADDRINUSE, "another service answers there; give each service a port of its own")
            time.sleep(0.05)
        bound.listen(_BACKLOG)
    except BaseException:
        bound.close()
        raise
    return bound


def _strangers(bound: socket.socket, server: int) -> bool:
    """True where somebody listens on the socket's address who is none of the server's processes."""
    others = _listeners(bound)
    if not others:
        return False
    for name in os.listdir("/proc"):
        if name.isdecimal() and kin.descends(int(name), server):
            others -= _sockets(name)
    return bool(others)


def _listeners(bound: socket.socket) -> set[str]:
    """The sockets that listen where this one would, as /proc/PID/fd names them."""
    host, port = bound.getsockname()[:2]
    own = _plain(socket.inet_pton(bound.family, host))
    found = set()
    for table in ("tcp", "tcp6"):
        try:
            with open(f"/proc/self/net/{table}", encoding="ascii") as file:
                rows = [line.split() for line in file.readlines()[1:]]
        except OSError:
            continue  # no IPv6, or a sandbox without the table: the port is shared as the kernel lets it
        for row in rows:
            address, _, number = row[1].partition(":")
            if row[3] == _LISTENING and int(number, 16) == port:
                theirs = _plain(_packed(address))
                if theirs == own or not any(theirs) or not any(own):
                    found.add(f"socket:[{row[9]}]")
    return found


def _packed(address: str) -> bytes:
    """The table has 32 bits at a time, in this machine's byte order."""
    raw = bytes.fromhex(address)
    step = -1 if sys.byteorder == "little" else 1
    return b"".join(raw[at : at + 4][::step] for at in range(0, len(raw), 4))


def _plain(packed: bytes) -> bytes:
    return packed[12:] if packed.startswith(_MAPPED) else packed


def _sockets(pid: str) -> set[str]:
    found = set()
    try:
        for descriptor in os.scandir(f"/proc/{pid}/fd"):
            found.add(os.readlink(descriptor.path))
    except OSError:
        pass  # gone meanwhile, or another user's: what it has is then nobody's here
    return found
