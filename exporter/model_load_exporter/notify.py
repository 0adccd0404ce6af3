"""systemd's readiness protocol: one datagram to $NOTIFY_SOCKET. Does nothing where systemd does not ask."""

import contextlib
import os
import socket


def notify(state: str) -> None:
    """Sends `READY=1`, `RELOADING=1`, `STOPPING=1` or `STATUS=...`; never raises."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    # An abstract socket is written with @ in the variable and with a zero byte on the wire.
    path = "\0" + address[1:] if address.startswith("@") else address
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        sock.sendto(state.encode(), path)
