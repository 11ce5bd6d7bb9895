"""The socket that callers come to: opened, and locked without cutting off anybody who has come."""

from __future__ import annotations

import os
import select
import socket
import struct
import sys
from array import array
from collections.abc import Sequence
from contextlib import suppress

from whyconv.errors import UsageError

_SO_ATTACH_FILTER = 26
_KEEP_NOTHING = struct.pack("=HBBI", 0x06, 0, 0, 0)


def listen(host: str, port: int) -> socket.socket:
    """Returns a socket that is bound to an address.

    Args:
        host: Address or name of this machine.
        port: 0 takes any that is free.

    Raises:
        UsageError: It cannot be listened on.
    """
    listener = None
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, _, _, place = found[0]
        # Only where the protocol is named, asyncio lets short answers leave at once.
        listener = socket.socket(family, kind, socket.IPPROTO_TCP)
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(place)
        return listener
    except (OSError, OverflowError, UnicodeError) as error:
        if listener is not None:
            listener.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(
            f"{host} port {port} cannot be listened on: {reason}. Name another with --host or --port."
        ) from error


def stop_listening(listener: socket.socket) -> None:
    """Makes the system take no new connections, where it can (Linux); what it has taken already stays.

    To close a socket resets whoever was let in by the system and not yet by the program. So the first packets of new
    callers are thrown away first; they come again a second later, and find that nobody listens.

    References:
        Linux, ``Documentation/networking/filter.rst``: a filter of one instruction, "return 0".
    """
    if sys.platform == "linux":
        program = array("B", _KEEP_NOTHING)
        where = struct.pack("HP", 1, program.buffer_info()[0])
        with suppress(OSError):
            listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, where)


def has_callers(listeners: Sequence[socket.socket]) -> bool:
    """Whether somebody was let in by the system and not yet by the program."""
    return bool(select.select(listeners, [], [], 0)[0])
