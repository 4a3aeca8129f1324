"""Where settings come from, and how a wrong one is refused."""

import re
from contextlib import suppress
from pathlib import Path

import hypothesis.strategies as st
import pytest
from greenroom.runtime.config import Cleanup, Config, ConfigError, Isolation, Limits
from greenroom.runtime.config_sources import load_config
from hypothesis import given


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "greenroom.toml"
    file.write_text(text)
    return file


def refusal(file: Path | None = None, environ: dict[str, str] | None = None, **flags: object) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(file, environ or {}, flags)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_without_any_source_the_defaults_hold() -> None:
    config = load_config(None, {"PATH": "/bin"}, {"port": None})
    assert config == Config()
    assert (config.db, config.host, config.port, config.http_port) == (
        "./greenroom.db",
        "127.0.0.1",
        8765,
        8766,
    )
    assert config.limits == Limits()
    assert (config.limits.mailbox, config.limits.pending, config.limits.drain) == (256, 100, 5.0)


def test_the_flag_wins_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    file = written(tmp_path, "port = 1\nhttp_port = 2\nagent = 'none'\n[limits]\nmailbox = 7\n")
    environ = {"GREENROOM_PORT": "3", "GREENROOM_HTTP_PORT": "4", "GREENROOM_LIMITS_PENDING": "8"}
    config = load_config(file, environ, {"port": "5"})
    assert (config.port, config.http_port, config.agent) == (5, 4, "none")
    assert (config.limits.mailbox, config.limits.pending) == (7, 8)


def test_every_kind_of_value_can_come_from_the_environment() -> None:
    environ = {
        "GREENROOM_DB": "/data/a b.db",
        "GREENROOM_HOST": "0.0.0.0",  # noqa: S104  # what the flag beside it allows
        "GREENROOM_INSECURE_BIND": "true",
        "GREENROOM_ORIGINS": "https://a.example, http://b.example:81",
        "GREENROOM_LIMITS_DRAIN": "2.5",
        "GREENROOM_AGENT": "my.module:answer",
    }
    config = load_config(None, environ, {})
    assert config.db == "/data/a b.db"
    assert config.insecure_bind
    assert config.origins == ("https://a.example", "http://b.example:81")
    assert config.limits.drain == 2.5
    assert config.agent == "my.module:answer"


@pytest.mark.parametrize(
    ("value", "met"),
    [
        ("70000", "70000"),
        ("-1", "-1"),
        ("x", "x"),
        ("", "''"),
        ("64q", "64q"),
        ("a b", "'a b'"),
    ],
)
def test_p36_a_wrong_port_is_refused_with_its_range_and_what_was_met(value: str, met: str) -> None:
    assert refusal(port=value) == f"port: expected 0..65535, met {met} (from --port)"


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "1e99", "1e6q", "ten"])
def test_durations_are_positive_finite_and_at_most_a_million_seconds(value: str) -> None:
    text = refusal(environ={"GREENROOM_LIMITS_TURN": value})
    assert text.startswith("limits.turn: expected a number above 0 and at most 1000000, met ")
    assert text.endswith("(from GREENROOM_LIMITS_TURN)")


@pytest.mark.parametrize("value", ["0", "-5", "64q", "1.5", "99999999999999999999"])
def test_sizes_are_positive_whole_numbers(value: str) -> None:
    text = refusal(environ={"GREENROOM_LIMITS_OUTBOUND_BYTES": value})
    assert text.startswith("limits.outbound_bytes: expected a whole number from 1 to ")


@pytest.mark.parametrize(
    "text", ["port = '8765'", "port = 1.0", "port = true", "port = [1]", "port = 1979-05-27"]
)
def test_the_file_is_read_without_guessing_types(tmp_path: Path, text: str) -> None:
    file = written(tmp_path, text)
    assert refusal(file).startswith("port: expected 0..65535, met ")


def test_an_unknown_key_is_refused_with_the_nearest_known_one(tmp_path: Path) -> None:
    file = written(tmp_path, "prot = 1")
    assert refusal(file) == f"{file}: no setting 'prot'; did you mean port?"
    file = written(tmp_path, "[limits]\nmailbocks = 1")
    assert refusal(file) == f"{file}: no setting 'limits.mailbocks'; did you mean limits.mailbox?"
    assert refusal(environ={"GREENROOM_PROT": "1"}).endswith("no setting GREENROOM_PROT; did you mean port?")
    assert refusal(environ={"GREENROOM_QQQ": "1"}).endswith("GREENROOM_QQQ")


@pytest.mark.parametrize(
    ("text", "place"),
    [("port 1", "1:6"), ("port = 1\nhost =", "2:7"), ("port = 1\nport = 2\n", "2:9"), ("a = [\n", "2:1")],
)
def test_broken_toml_is_refused_with_file_line_and_column(tmp_path: Path, text: str, place: str) -> None:
    file = written(tmp_path, text)
    assert refusal(file).startswith(f"{file}:{place}: ")


def test_a_file_that_cannot_be_read_is_refused_by_name(tmp_path: Path) -> None:
    assert (
        refusal(tmp_path / "none.toml") == f"{tmp_path}/none.toml: cannot be read: No such file or directory"
    )
    assert refusal(tmp_path) == f"{tmp_path}: cannot be read: Is a directory"
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"port = \xff")
    assert refusal(binary) == f"{binary}: expected UTF-8 text, met byte 0xff"


@pytest.mark.parametrize("table", ["limits", "cleanup", "isolation"])
def test_a_table_of_settings_must_be_one(tmp_path: Path, table: str) -> None:
    assert refusal(written(tmp_path, f"{table} = 5")).startswith(f"{table}: expected a table, met 5")


def test_what_silence_leads_to_and_what_makes_a_session_have_their_published_defaults() -> None:
    assert Config().cleanup == Cleanup(
        enabled=True,
        idle_after=300,
        suspend_after=1800,
        archive_after=30 * 24 * 3600,
        delete_after=0,
        interval=60,
    )
    assert Config().isolation == Isolation(by_agent=True, by_channel=True, by_peer=True, by_thread=True)
    assert Config().commands


def test_each_table_can_come_from_the_file_and_from_the_environment(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        "commands = false\n[cleanup]\nidle_after = 5\nenabled = false\n[isolation]\nby_thread = false\n"
        "[limits]\npending = 3\n",
    )
    environ = {"GREENROOM_CLEANUP_IDLE_AFTER": "7.5", "GREENROOM_ISOLATION_BY_PEER": "false"}
    config = load_config(file, environ, {})
    assert config == Config(
        commands=False,
        cleanup=Cleanup(enabled=False, idle_after=7.5),
        isolation=Isolation(by_thread=False, by_peer=False),
        limits=Limits(pending=3),
    )
    assert load_config(None, {"GREENROOM_COMMANDS": "false"}, {}) == Config(commands=False)


@pytest.mark.parametrize("key", ["idle_after", "suspend_after", "archive_after", "delete_after"])
def test_zero_stands_for_never_where_silence_is_measured_and_thirty_years_are_allowed(key: str) -> None:
    for value, silence in (("0", 0.0), ("1e9", 1e9)):
        config = load_config(None, {f"GREENROOM_CLEANUP_{key.upper()}": value}, {})
        assert getattr(config.cleanup, key) == silence


@pytest.mark.parametrize("value", ["-1", "-0.001", "nan", "inf", "1.1e9", "never"])
@pytest.mark.parametrize("key", ["idle_after", "suspend_after", "archive_after", "delete_after"])
def test_a_silence_is_a_number_of_seconds_or_zero(key: str, value: str) -> None:
    name = f"GREENROOM_CLEANUP_{key.upper()}"
    expected = "a number above 0 and at most 1000000000, or 0 for never"
    assert refusal(environ={name: value}) == f"cleanup.{key}: expected {expected}, met {value} (from {name})"


def test_the_clock_is_looked_at_after_a_time_above_zero() -> None:
    text = refusal(environ={"GREENROOM_CLEANUP_INTERVAL": "0"})
    assert text.startswith("cleanup.interval: expected a number above 0 and at most 1000000, met 0")


def test_an_unknown_key_of_any_table_is_refused_with_the_nearest_known_one(tmp_path: Path) -> None:
    text = refusal(written(tmp_path, "[cleanup]\nidle_aftr = 1"))
    assert text.endswith("no setting 'cleanup.idle_aftr'; did you mean cleanup.idle_after?")
    text = refusal(environ={"GREENROOM_ISOLATION_BY_PEAR": "true"})
    assert text.endswith("no setting GREENROOM_ISOLATION_BY_PEAR; did you mean isolation.by_peer?")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org"])  # noqa: S104  # refused
def test_p30_an_address_others_can_reach_is_refused_unless_asked_for_by_name(host: str) -> None:
    text = refusal(host=host)
    assert "TLS" in text
    assert "--insecure-bind" in text
    assert load_config(None, {}, {"host": host, "insecure_bind": True}).host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost", "LOCALHOST"])
def test_loopback_needs_no_permission(host: str) -> None:
    assert load_config(None, {}, {"host": host}).host == host


@pytest.mark.parametrize("host", ["", "a b", "host\n", "h/../x", "hö.st"])
def test_a_host_is_a_name_or_an_address(host: str) -> None:
    assert refusal(host=host).startswith("host: expected a host name or an address, met ")


@pytest.mark.parametrize("agent", ["parrot", "Echo", "module:", ":f", "a b:c", "m:f:g", "echo\n"])
def test_an_agent_is_echo_none_or_a_function(agent: str) -> None:
    assert refusal(agent=agent).startswith("agent: expected echo, none or module:function, met ")


def test_the_llm_agent_is_announced_as_missing() -> None:
    assert "not in this version" in refusal(agent="llm")


@pytest.mark.parametrize("origin", ["null", "example.org", "https://a.example/path", "ftp://a"])
def test_an_origin_is_a_scheme_and_an_authority(tmp_path: Path, origin: str) -> None:
    assert refusal(written(tmp_path, f"origins = ['{origin}']")).startswith(
        "origins: expected a list of origins"
    )


def test_settings_that_contradict_one_another_are_refused() -> None:
    assert refusal(port="9", http_port="9").startswith("http_port: expected another port than port")
    assert load_config(None, {}, {"port": "0", "http_port": "0"}).port == 0
    text = refusal(environ={"GREENROOM_LIMITS_FRAME_BYTES": "1000"})
    assert text.startswith("limits.content_bytes: expected at most limits.frame_bytes (1000)")


def test_a_long_or_strange_value_is_shown_short_and_on_one_line() -> None:
    assert len(refusal(port="9" * 500)) < 140
    assert refusal(port="\x1b[2J\n").endswith(r"met '\x1b[2J\n' (from --port)")


@given(st.text(), st.sampled_from(["port", "host", "agent", "db", "http_port"]))
def test_any_text_is_read_or_refused_in_one_line(value: str, key: str) -> None:
    with suppress(ConfigError):
        assert load_config(None, {}, {key: value})
        return
    text = refusal(**{key: value})
    assert key in text
    assert len(text.splitlines()) == 1


def test_the_file_that_the_readme_shows_is_one_and_holds_the_defaults(tmp_path: Path) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    (shown,) = re.findall(r"```toml\n(.*?)```", readme, re.DOTALL)
    assert load_config(written(tmp_path, shown), {}, {"port": "8765"}) == Config()


def test_the_token_budget_of_former_days_stands_for_the_present_default() -> None:
    assert Limits(max_tokens=8000) == Limits()
    assert Limits(max_tokens=8001).max_tokens == 8001
