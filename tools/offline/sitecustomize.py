"""Refuse every connection that leaves this machine, in any Python process that has this folder on PYTHONPATH.

The lessons promise to run without a network. Their kernels are started with this folder on PYTHONPATH when they are
executed and tested, so a cell that reaches out fails there instead of failing on a learner's flaky network.
"""

import ipaddress
import sys


class NetworkRefused(OSError):
    """A connection to another machine was attempted while the network is switched off."""


def _is_loopback(host):
    if host is None or host in ("", b"", "localhost", b"localhost"):
        return True
    try:
        return ipaddress.ip_address(host.decode() if isinstance(host, bytes) else host).is_loopback
    except ValueError:
        return False


def _refuse_outside(event, arguments):
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) else None  # a path is a socket on this machine
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = arguments[0]
    else:
        return
    if not _is_loopback(host):
        raise NetworkRefused(f"the network is switched off here, and something tried to reach {host!r}")


sys.addaudithook(_refuse_outside)
