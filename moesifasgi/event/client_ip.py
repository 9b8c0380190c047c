"""Whose request it was: the client's IP address, from forwarding headers and the socket.

Without ``trusted_proxies`` the headers are believed in the order of the published package, which anyone can
abuse to pose as another address, but never to make something else of it. With them, only what a trusted hop
says is believed, and the walk ends at the first address that is not one of ours. The hops are those of
X-Forwarded-For, or of Forwarded where that is absent; no other header is looked at, for none shows who wrote
it. A proxy writes one of the two, and has to remove the other: what it lets pass cannot be told from its own.

Addresses come out normalised: no port, brackets or zone, IPv6 compressed, IPv4-mapped IPv6 as IPv4.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from moesifasgi.event.headers import parameters

FORWARDING_HEADERS = (
    "x-client-ip",
    "x-forwarded-for",
    "cf-connecting-ip",
    "true-client-ip",
    "x-real-ip",
    "x-cluster-client-ip",
    "x-forwarded",
    "forwarded-for",
    "forwarded",
)
"""The order of the published package."""
MAX_HOPS = 50
"""Entries of one header that are looked at; a longer chain of proxies is made up."""
_MAX_ADDRESS_CHARACTERS = 80
"""An IPv6 address with brackets, zone and port is shorter; what is longer is no address, and not cached."""
_CACHED_ADDRESSES = 4096
_WITH_PORT = re.compile(r"\[([^\]]*)\](?::\d+)?|(\d+\.\d+\.\d+\.\d+):\d+", re.ASCII)

Network = IPv4Network | IPv6Network


def client_ip(
    headers: Mapping[str, str], client: Sequence[object] | None, trusted_proxies: tuple[str, ...] | None
) -> str | None:
    """The client's address, or None if nothing names one. ``client`` is the socket's (host, port).

    ``headers`` are flat with lower-case names. Raises ValueError only where a trusted network is none.
    """
    peer = parsed_address(client[0]) if client and isinstance(client[0], str) else None
    if trusted_proxies is None:
        return _first_named(headers) or peer
    return _behind_proxies(headers, peer, trusted_proxies)


@lru_cache(maxsize=64)
def trusted_networks(proxies: tuple[str, ...]) -> tuple[Network, ...]:
    """Addresses and CIDR networks, parsed. Raises ValueError naming the one that is neither."""
    return tuple(ip_network(proxy.strip(), strict=False) for proxy in proxies)


def parsed_address(text: str) -> str | None:
    """One address, perhaps with brackets, port or zone, normalised; None where it is anything else."""
    return _parsed(text) if len(text) <= _MAX_ADDRESS_CHARACTERS else None


@lru_cache(maxsize=_CACHED_ADDRESSES)
def _parsed(text: str) -> str | None:
    text = text.strip()
    with_port = _WITH_PORT.fullmatch(text)
    if with_port:
        text = with_port[1] or with_port[2] or ""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return str(_unmapped(address))


def _unmapped(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """A dual-stack socket shows IPv4 peers as IPv6; they are the same host."""
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address


def _first_named(headers: Mapping[str, str]) -> str | None:
    """The leftmost valid address of the first header that has one."""
    for name in [name for name in FORWARDING_HEADERS if name in headers]:
        for element in headers[name].split(",", MAX_HOPS)[:MAX_HOPS]:
            address = parsed_address(_hop(name, element))
            if address is not None:
                return address
    return None


def _hop(name: str, element: str) -> str:
    """Whom one element of a header names: the whole of it, but for RFC 7239's; empty where that is nobody.

    No address or name of a host holds a comma, so an element with half a quoted text was made to hide one.
    """
    if name != "forwarded" or "=" not in element:
        return element
    found, whole = parameters(element)
    return found.get("for", "") if whole else ""


def _behind_proxies(headers: Mapping[str, str], peer: str | None, proxies: tuple[str, ...]) -> str | None:
    """Walk from the socket towards the client while each hop is trusted; the last one believed is it.

    A peer without an address came over a Unix socket, so it is a proxy on this host. A hop that is no address
    ends the walk, for nobody can say what stands before it.
    """
    name = "x-forwarded-for" if "x-forwarded-for" in headers else "forwarded"
    elements = headers.get(name, "").rsplit(",", MAX_HOPS)[-MAX_HOPS:]
    nearest = peer
    for element in reversed(elements):
        if nearest is not None and not _is_trusted(nearest, proxies):
            break
        address = parsed_address(_hop(name, element))
        if address is None:
            break
        nearest = address
    return nearest


@lru_cache(maxsize=_CACHED_ADDRESSES)
def _is_trusted(address: str, proxies: tuple[str, ...]) -> bool:
    parsed = ip_address(address)
    return any(parsed in network for network in trusted_networks(proxies))
