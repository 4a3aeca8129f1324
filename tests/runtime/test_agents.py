"""The built-in agents, and finding a host's own."""

import sys
from pathlib import Path

import pytest
from greenroom.runtime.agents import AgentNotFoundError, echo, find_agent, words
from hypothesis import example, given
from hypothesis import strategies as st


@given(st.text())
@example(" \n two  words\u2003\n")
@example("\x1c")
def test_words_joined_are_the_text_and_none_is_empty(text: str) -> None:
    assert "".join(words(text)) == text
    assert all(words(text)) or not text


def test_each_word_keeps_the_white_space_after_it() -> None:
    assert words("one  two\nthree ") == ["one  ", "two\n", "three "]
    assert words("  first two") == ["  first ", "two"]
    assert words(" \n ") == [" \n "]


def test_none_never_answers_and_echo_may_be_run_again() -> None:
    assert find_agent("none").run is None
    agent = find_agent("echo")
    assert (agent.run, agent.on_interrupt) == (echo, "retry")


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = "agents_of_a_host"
    source = (
        "async def answer(turn): ...\n"
        "async def safe(turn): ...\n"
        "safe.on_interrupt = 'retry'\n"
        "def plain(turn): ...\n"
        "text = 'x'\n"
        "async def generator(turn):\n    yield\n"
    )
    (tmp_path / f"{name}.py").write_text(source)
    (tmp_path / "broken_agents.py").write_text("import no_such_module_at_all\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, name, raising=False)
    return name


def test_a_hosts_function_is_found_and_taken_to_have_effects_unless_it_says_otherwise(module: str) -> None:
    agent = find_agent(f"{module}:answer")
    assert (agent.name, agent.on_interrupt) == (f"{module}:answer", "finish")
    assert agent.run is sys.modules[module].answer
    assert find_agent(f"{module}:safe").on_interrupt == "retry"


@pytest.mark.parametrize(
    "name", ["no_such_module:f", "{}:missing", "{}:plain", "{}:text", "{}:generator", "broken_agents:f", ":f"]
)
def test_p36_what_is_no_agent_is_refused_in_one_sentence_with_its_name(module: str, name: str) -> None:
    name = name.format(module)
    with pytest.raises(AgentNotFoundError, match="agent: expected") as caught:
        find_agent(name)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.fixture
def working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty one, with modules found as the installed program finds them: not there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place not in {"", "."}])
    return tmp_path


def test_a_module_in_the_working_directory_is_found_and_nothing_stays_behind(working_directory: Path) -> None:
    (working_directory / "agents_right_here.py").write_text("import neighbour\nasync def f(turn): ...\n")
    (working_directory / "neighbour.py").write_text("")
    before = list(sys.path)
    assert find_agent("agents_right_here:f").run is sys.modules["agents_right_here"].f
    assert sys.path == before
    with pytest.raises(AgentNotFoundError):
        find_agent("not_here_either:f")
    assert sys.path == before


def test_a_file_in_the_working_directory_replaces_no_installed_module(
    working_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (working_directory / "agents_with_an_import.py").write_text("import colorsys\nasync def f(turn): ...\n")
    (working_directory / "colorsys.py").write_text("raise RuntimeError('the file here was taken')\n")
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    assert find_agent("agents_with_an_import:f").name == "agents_with_an_import:f"
