"""Networks over time: plugged and unplugged, crashed and repaired, gone without a trace."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.integration.networks.topology import Host, Namespaces, RemoteError, cable

WEB = [{"container_port": 80, "host_port": 8080}]


def eventually(check: Callable[[], bool], seconds: float = 2.0) -> bool:
    """Whether the check holds before that time is over."""
    deadline = time.monotonic() + seconds
    while not check():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def test_an_agent_without_containers_changes_nothing_on_the_host(host: Host) -> None:
    assert host.links() == {"lo"}
    assert host.rules() == ""
    assert host.sysctl("net.ipv4.ip_forward") == "0"


def test_everything_is_put_back(host: Host) -> None:
    host.call("create", name="app", enable_ipv6=True)
    web = host.container("web", "app", ports=WEB)
    with pytest.raises(RemoteError, match="containers still use the network: web"):
        host.call("restore_host")
    host.call("detach", container_id=web.id)
    host.call("restore_host")

    assert host.links() == {"lo"}
    assert host.rules() == ""
    assert host.sysctl("net.ipv4.ip_forward") == "0"
    assert host.sysctl("net.ipv6.conf.all.forwarding") == "0"


def test_a_detached_container_leaves_no_link_namespace_or_rule(host: Host) -> None:
    host.container("first")
    links, rules = host.links(), host.rules()
    for number in range(3):
        box = host.container(f"box{number}", ports=[{"container_port": 80}, {"container_port": 81, "protocol": "udp"}])
        host.call("detach", container_id=box.id)

    assert eventually(lambda: host.rules() == rules)
    assert eventually(lambda: host.links() == links)
    assert eventually(lambda: host.run("test", "-e", box.record["netns_path"], check=False).returncode != 0)


def test_a_running_container_is_plugged_in_and_out(host: Host) -> None:
    host.call("create", name="back", subnets=[{"subnet": "10.9.0.0/24"}])
    web, db = host.container("web", ports=WEB), host.container("db", "back")
    web.serve("web", 80)
    db.serve("db", 5432)
    assert web.ask(db.address, 5432) is None

    endpoint = host.call(
        "connect", network="back", container_id=web.id, request={"network": "back", "ipv4": "10.9.0.77"}
    )
    assert endpoint["ipv4"] == "10.9.0.77/24"
    assert endpoint["interface"] == "eth1"
    assert web.ask(db.address, 5432) == "db 10.9.0.77"
    with pytest.raises(RemoteError, match="endpoint with name web already exists in network back"):
        host.call("connect", network="back", container_id=web.id, request={"network": "back"})

    host.call("disconnect", network="back", container_id=web.id)
    assert web.ask(db.address, 5432) is None
    assert host.ask("127.0.0.1", 8080) is not None
    with pytest.raises(RemoteError, match="is not connected to network back"):
        host.call("disconnect", network="back", container_id=web.id)


def test_published_ports_follow_the_gateway_priority(host: Host) -> None:
    host.call("create", name="front", subnets=[{"subnet": "10.8.0.0/24"}])
    web = host.container("web", ports=WEB)
    web.serve("web", 80)
    host.call("connect", network="front", container_id=web.id, request={"network": "front", "gw_priority": 10})

    assert "via 10.8.0.1 " in web.run("ip", "route", "show", "default").stdout
    assert host.ask("127.0.0.1", 8080) == "web 10.8.0.1"
    host.call("disconnect", network="front", container_id=web.id)
    assert "via 172.17.0.1 " in web.run("ip", "route", "show", "default").stdout
    assert host.ask("127.0.0.1", 8080) == "web 172.17.0.1"


@pytest.mark.parametrize("crash", [False, True])
def test_ports_and_networks_outlive_the_agent(host: Host, crash: bool) -> None:
    host.call("create", name="app")
    web = host.container("web", "app", ports=WEB)
    web.serve("web", 80)
    host.restart(crash=crash)

    assert host.ask("127.0.0.1", 8080) is not None
    with pytest.raises(RemoteError, match="active endpoints"):
        host.call("remove", name_or_id="app")
    assert host.container("other", "app").address != web.address


def test_a_start_repairs_bridge_rules_and_strays(host: Host) -> None:
    host.call("create", name="app", subnets=[{"subnet": "10.5.0.0/24"}])
    web = host.container("web", ports=WEB)
    web.serve("web", 80)
    stray = f"v{host.instance}0000000"
    foreign = "vethother"
    for name in (stray, foreign):
        host.run("ip", "link", "add", name, "type", "veth", "peer", "name", f"p{name[:10]}{name[-2:]}")
    bridge = next(name for name in host.links() if name.startswith(f"{host.instance}-"))
    host.run("ip", "link", "delete", bridge)
    host.run("nft", "flush", "ruleset")
    host.restart(crash=True)

    assert host.ask("127.0.0.1", 8080) is not None
    assert "10.5.0.1/24" in host.run("ip", "address", "show", bridge).stdout
    assert stray not in host.links()
    assert foreign in host.links()


def test_a_flush_of_all_rules_is_repaired_while_the_agent_runs(host: Host, neighbour: Namespaces) -> None:
    web = host.container("web", ports=[{"container_port": 80, "host_ip": "127.0.0.1", "host_port": 8080}])
    web.serve("web", 80)
    neighbour.run("ip", "route", "add", "172.17.0.0/16", "via", "192.0.2.1")
    host.run("nft", "flush", "ruleset")

    assert eventually(lambda: host.ask("127.0.0.1", 8080, timeout=0.3) is not None)
    assert neighbour.ask(web.address, 80) is None


def test_other_tables_are_never_touched(host: Host) -> None:
    foreign = "table inet mine {\n\tchain input {\n\t\ttcp dport 22 accept\n\t}\n}\n"
    host.run("sh", "-c", f"echo '{foreign}' | nft -f -")
    web = host.container("web", ports=WEB)
    host.restart()
    host.call("detach", container_id=web.id)
    host.call("restore_host")

    assert host.rules() == foreign


def test_a_namespace_lost_to_a_reboot_is_forgotten(host: Host) -> None:
    web = host.container("web", ports=WEB)
    host.run("umount", "--lazy", web.record["netns_path"])
    host.restart()

    assert "172.17.0.2" not in host.rules()
    assert host.container("next", ports=WEB).address == "172.17.0.2"


def test_an_operators_bridge_is_used_and_kept(make_host: Callable[..., Host]) -> None:
    host = make_host(bridge="none")
    host.run("ip", "link", "add", "br0", "type", "bridge")
    host.run("ip", "address", "add", "10.30.0.1/24", "dev", "br0")
    host.run("ip", "link", "set", "br0", "up")
    assert host.call("list") == ["host", "none"]
    host.restart(settings={"bridge": "br0"})
    box = host.container("box")

    assert box.address == "10.30.0.2"
    assert host.ask("10.30.0.1", 1) is None
    host.call("detach", container_id=box.id)
    host.call("restore_host")
    assert "br0" in host.links()


def test_macvlan_joins_containers_of_two_hosts(make_host: Callable[..., Host]) -> None:
    hosts = make_host(), make_host()
    cable(*hosts)
    pool = {"subnet": "10.40.0.0/24", "gateway": "10.40.0.254"}
    for host, part in zip(hosts, ("10.40.0.0/28", "10.40.0.16/28"), strict=True):
        host.call(
            "create", name="lan", driver="macvlan", subnets=[{**pool, "ip_range": part}], options={"parent": "eth0"}
        )
    one, two = hosts[0].container("one", "lan"), hosts[1].container("two", "lan")
    one.serve("one", 80)

    assert two.ask(one.address, 80) == f"one {two.address}"
    assert one.address == "10.40.0.1"
    assert two.address == "10.40.0.16"
    hosts[0].call("detach", container_id=one.id)
    hosts[0].call("remove", name_or_id="lan")
    assert hosts[0].links() == {"lo", "eth0"}


def test_macvlan_without_parent_is_internal(host: Host) -> None:
    host.call("create", name="lan", driver="macvlan", subnets=[{"subnet": "10.41.0.0/24"}])
    one, two = host.container("one", "lan"), host.container("two", "lan")
    one.serve("one", 80)

    assert two.ask(one.address, 80) is not None
    assert two.run("ip", "route", "show", "default").stdout == ""


def test_a_vlan_parent_needs_a_kernel_that_has_it(host: Host) -> None:
    host.run("ip", "link", "add", "eth0", "type", "bridge")
    has_vlan = host.run("ip", "link", "add", "link", "eth0", "name", "probe", "type", "vlan", "id", "9", check=False)
    options = {"parent": "eth0.30"}
    if has_vlan.returncode == 0:
        host.call("create", name="lan", driver="macvlan", options=options)
        assert "eth0.30" in host.links()
        host.call("remove", name_or_id="lan")
        assert "eth0.30" not in host.links()
        return
    with pytest.raises(RemoteError, match=r"parent=eth0\.30: this kernel has no VLAN links") as refused:
        host.call("create", name="lan", driver="macvlan", options=options)
    assert refused.value.status == 501
    assert host.call("list") == ["host", "none", "bridge"]


def test_a_network_in_use_is_not_removed(host: Host) -> None:
    host.call("create", name="app")
    web = host.container("web", "app")

    with pytest.raises(
        RemoteError,
        match=r"error while removing network: network app has active endpoints "
        r'\(name:"web" id:"[0-9a-f]{12}"\)',
    ) as refused:
        host.call("remove", name_or_id="app")
    assert refused.value.status == 403
    host.call("detach", container_id=web.id)
    host.call("remove", name_or_id="app")
    assert host.call("list") == ["host", "none", "bridge"]
