"""Log drivers and their options: what is taken, what it means, and what is refused by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.containers.test_bundle import inputs
from wherry.containers import log_options
from wherry.containers.layout import ContainerLayout
from wherry.containers.log_options import LogSettings
from wherry.containers.model import Container, LogConfig
from wherry.errors import WherryError
from wherry.paths import Paths


def logged(driver: str, **options: str) -> Container:
    made = inputs().container
    config = replace(made.config, labels={"a": "1", "b.c": "2", "z": "3"}, env=("PATH=/bin", "E=x=y"), image="busybox")
    log = LogConfig(driver, {name.replace("_", "-"): value for name, value in options.items()})
    return replace(made, config=config, host_config=replace(made.host_config, log_config=log))


def settings(driver: str, **options: str) -> LogSettings:
    made = logged(driver, **options)
    log_options.check(made.host_config.log_config)
    return log_options.settings(made, ContainerLayout(Paths(Path("/data"), Path("/run")), made.id))


def test_json_file_rotates_and_compresses_as_it_is_told() -> None:
    found = settings("json-file", max_size="10m", max_file="3", compress="true")
    assert (found.max_size, found.max_file, found.compress) == (10 << 20, 3, True)
    assert settings("json-file").max_size == 0
    assert settings("json-file").path is not None


def test_local_rotates_and_compresses_by_itself() -> None:
    found = settings("local")
    assert (found.max_size, found.max_file, found.compress) == (20 << 20, 5, True)
    assert settings("local", max_file="1").compress is False
    assert str(settings("local").path).endswith("/local-logs/container.log")


def test_attributes_are_the_labels_and_variables_that_are_named() -> None:
    found = settings("json-file", labels="a,missing", env="E", tag="{{.Name}}/{{ .ImageName }}")
    assert dict(found.attributes) == {"a": "1", "E": "x=y", "tag": f"{inputs().container.name}/busybox"}
    assert dict(settings("json-file", labels_regex="^(a|z)$").attributes) == {"a": "1", "z": "3"}
    assert dict(settings("json-file", env_regex="^E").attributes) == {"E": "x=y"}


def test_journal_fields_are_dockers() -> None:
    fields = dict(settings("journald", labels="b.c").attributes)
    assert fields["CONTAINER_ID"] == inputs().container.short_id
    assert fields["CONTAINER_TAG"] == fields["SYSLOG_IDENTIFIER"] == inputs().container.short_id
    assert fields["B_C"] == "2"


def test_syslog_server_is_found_by_name_and_told_by_number() -> None:
    found = settings("syslog", syslog_address="udp://127.0.0.1", syslog_facility="local7", syslog_format="rfc5424")
    assert (found.address, found.facility, found.format) == ("udp://127.0.0.1:514", 23, "rfc5424")
    assert settings("syslog", syslog_address="tcp://[::1]:601").address == "tcp://[::1]:601"
    assert settings("syslog", syslog_address="tcp://localhost:601").address in (
        "tcp://127.0.0.1:601", "tcp://[::1]:601",
    )  # fmt: skip
    assert settings("syslog").tag == inputs().container.short_id


def test_non_blocking_delivery() -> None:
    found = settings("json-file", mode="non-blocking", max_buffer_size="4m")
    assert (found.non_blocking, found.max_buffer) == (True, 4 << 20)
    assert settings("json-file", mode="blocking").non_blocking is False


@pytest.mark.parametrize(
    ("driver", "options", "message"),
    [
        ("gelf", {}, "no log driver named 'gelf' is registered"),
        ("json-file", {"colour": "red"}, "unknown log opt 'colour' for json-file log driver"),
        ("local", {"labels": "a"}, "unknown log opt 'labels' for local log driver"),
        ("none", {"max_size": "1m"}, "unknown log opt 'max-size' for none log driver"),
        ("json-file", {"max_size": "0"}, 'max-size: "0": is not a size'),
        ("json-file", {"max_file": "0"}, 'max-file: "0": must be a number from 1'),
        ("json-file", {"compress": "maybe"}, 'compress: "maybe": is not a boolean'),
        ("json-file", {"compress": "true", "max_size": "1m"}, "compress cannot be true when max-file is less than 2"),
        ("json-file", {"mode": "sometimes"}, "logging mode not supported: sometimes"),
        ("json-file", {"max_buffer_size": "1m"}, "only supported with 'mode=non-blocking'"),
        ("json-file", {"tag": "{{.Nmae}}"}, "is not a template that is supported"),
        ("json-file", {"tag": "{{json .}}"}, "is not a template that is supported"),
        ("json-file", {"labels_regex": "("}, "is not a regular expression"),
        ("syslog", {"syslog_address": "http://x"}, "is not a syslog address"),
        ("syslog", {"syslog_address": "udp://x:99999"}, "is not a syslog address"),
        ("syslog", {"syslog_address": "tcp+tls://x:6514"}, "TLS to a syslog server"),
        ("syslog", {"syslog_tls_ca_cert": "/x"}, "syslog-tls-ca-cert"),
        ("syslog", {"syslog_facility": "local8"}, "invalid syslog facility"),
        ("syslog", {"syslog_format": "rfc1"}, "Invalid syslog format"),
    ],
)
def test_what_cannot_be_is_refused_by_name(driver: str, options: dict[str, str], message: str) -> None:
    with pytest.raises(WherryError) as caught:
        settings(driver, **options)
    assert message in str(caught.value)


def test_options_of_the_agent_hold_wherever_its_driver_is_used() -> None:
    defaults = {"max-size": "1m"}
    assert log_options.with_defaults(LogConfig(), "json-file", defaults) == LogConfig("json-file", defaults)
    given = LogConfig("json-file", {"max-size": "2m", "tag": "x"})
    assert log_options.with_defaults(given, "json-file", defaults) == given
    assert log_options.with_defaults(LogConfig("local"), "json-file", defaults) == LogConfig("local")
