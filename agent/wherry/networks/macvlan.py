"""The macvlan driver's part on the host: the parent link that containers' links hang on."""

from __future__ import annotations

import errno

from wherry.errors import InvalidParameter, Unsupported
from wherry.networks import links
from wherry.networks.model import Network
from wherry.networks.netlink import KernelRefusal, RouteSocket
from wherry.networks.options import macvlan_options

LARGEST_VLAN = 4094


def ensure_parent(network: Network) -> bool:
    """Makes sure that the parent link is there and up; returns whether it was made here. Blocks.

    Without a parent the network is internal: one end of a pair of links that leads nowhere else stands in for it.
    ``eth0.30`` that does not exist is made as VLAN 30 of eth0.
    """
    asked = macvlan_options(network.spec.options).parent
    with RouteSocket() as kernel:
        if kernel.link(network.link) is not None:
            return False
        if not asked:
            _add_pair(kernel, network.link)
            return True
        _add_vlan(kernel, network.link)
        return True


def stub_of(link: str) -> str:
    """The other end of the pair that stands in for a parent."""
    return f"v{link}"


def remove_parent(link: str) -> None:
    """Deletes a parent that ``ensure_parent`` made. Blocks."""
    with RouteSocket() as kernel:
        kernel.send([links.delete_link(link)])


def _add_pair(kernel: RouteSocket, name: str) -> None:
    """Both ends up: a link without carrier passes nothing on to its macvlan children."""
    kernel.send([links.add_pair(name, stub_of(name))])
    indexes = [links.index_of(kernel, end) for end in (stub_of(name), name)]
    kernel.send([links.set_up(index) for index in indexes if index is not None])


def _add_vlan(kernel: RouteSocket, name: str) -> None:
    base, dot, tag = name.rpartition(".")
    parent = links.index_of(kernel, base) if dot else None
    if parent is None or not tag.isdecimal() or not 1 <= int(tag) <= LARGEST_VLAN:
        raise InvalidParameter(
            "no such link on this host", field="parent", value=name, allowed="an existing link, or LINK.VLAN of one"
        )
    try:
        kernel.send([links.add_vlan(parent, int(tag), name)])
    except KernelRefusal as refusal:
        if refusal.errno == errno.EOPNOTSUPP:
            raise Unsupported(
                f"not supported: parent={name}: this kernel has no VLAN links (CONFIG_VLAN_8021Q, module 8021q)"
            ) from refusal
        raise
