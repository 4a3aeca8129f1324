"""The soft window in which memory is refreshed."""

from itertools import pairwise

import msgspec
import pytest
from greenroom.actors.compaction import usage_ratio
from greenroom.actors.memory import NO_MEMORY_NEEDED
from greenroom.actors.refresh import (
    MemoryRefreshConfig,
    MemoryRefresher,
    default_memory_refresh_config,
    should_refresh_memory,
    should_refresh_memory_on_transition,
)
from hypothesis import given
from hypothesis import strategies as st

HARD = 0.75
CONFIG = default_memory_refresh_config()
RATIOS = st.floats(0, 2)


def test_the_defaults_are_the_published_ones() -> None:
    assert (CONFIG.enabled, CONFIG.soft_threshold_ratio, CONFIG.max_extract_tokens) == (True, 0.6, 500)
    assert MemoryRefreshConfig() == CONFIG


def test_the_extracting_model_is_told_how_to_say_that_there_is_nothing() -> None:
    assert NO_MEMORY_NEEDED in CONFIG.system_prompt


def test_the_config_has_its_published_json_names_and_survives_json() -> None:
    encoded = msgspec.json.encode(CONFIG)
    assert list(msgspec.json.decode(encoded)) == [
        "enabled",
        "soft_threshold_ratio",
        "system_prompt",
        "max_extract_tokens",
    ]
    assert msgspec.json.decode(encoded, type=MemoryRefreshConfig) == CONFIG


@pytest.mark.parametrize("ratio", [0.0, -0.1, 1.01, float("nan"), float("inf")])
def test_a_soft_threshold_outside_zero_to_one_is_refused(ratio: float) -> None:
    with pytest.raises(ValueError, match=r"^soft_threshold_ratio: expected a number above 0 and at most 1"):
        MemoryRefreshConfig(soft_threshold_ratio=ratio)


def test_a_blank_prompt_and_an_empty_extraction_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^system_prompt: expected an instruction, met white space"):
        MemoryRefreshConfig(system_prompt=" \n")
    with pytest.raises(ValueError, match=r"^max_extract_tokens: expected at least 1, met 0"):
        MemoryRefreshConfig(max_extract_tokens=0)


@pytest.mark.parametrize(
    ("tokens", "messages", "expected"),
    [
        (599, 10, False),
        (600, 10, True),
        (749, 10, True),
        (750, 10, False),
        (1200, 10, False),
        (600, 3, True),
        (600, 2, False),
        (600, 0, False),
    ],
)
def test_memory_is_refreshed_from_the_soft_threshold_up_to_the_hard_one_with_three_messages(
    tokens: int, messages: int, *, expected: bool
) -> None:
    assert should_refresh_memory(usage_ratio(tokens, 1000), messages, CONFIG, HARD) is expected


def test_nothing_is_refreshed_when_it_is_turned_off() -> None:
    off = MemoryRefreshConfig(enabled=False)
    assert not should_refresh_memory(0.7, 10, off, HARD)
    assert not should_refresh_memory_on_transition(0.5, 0.7, 10, off, HARD)


@pytest.mark.parametrize(
    ("previous", "ratio", "expected"),
    [
        (0.59, 0.6, True),
        (0.0, 0.74, True),
        (0.6, 0.61, False),
        (0.7, 0.65, False),
        (0.59, 0.75, False),
        (0.8, 0.7, False),
        (0.5, 0.59, False),
    ],
)
def test_the_transition_is_the_step_from_below_into_the_window(
    previous: float, ratio: float, *, expected: bool
) -> None:
    assert should_refresh_memory_on_transition(previous, ratio, 10, CONFIG, HARD) is expected


@given(RATIOS, RATIOS, st.integers(0, 20))
def test_a_transition_is_always_inside_the_window_and_never_begins_there(
    previous: float, ratio: float, messages: int
) -> None:
    if should_refresh_memory_on_transition(previous, ratio, messages, CONFIG, HARD):
        assert should_refresh_memory(ratio, messages, CONFIG, HARD)
        assert not should_refresh_memory(previous, messages, CONFIG, HARD)


@given(st.lists(st.floats(0, 0.3), min_size=1, max_size=30))
def test_a_context_that_only_grows_crosses_the_window_at_most_once(growth: list[float]) -> None:
    ratios = [sum(growth[:n]) for n in range(len(growth) + 1)]
    crossings = [
        should_refresh_memory_on_transition(previous, ratio, 10, CONFIG, HARD)
        for previous, ratio in pairwise(ratios)
    ]
    assert sum(crossings) <= 1


async def test_a_refresher_is_any_object_with_the_one_method() -> None:
    class Notebook:
        def __init__(self) -> None:
            self.pages: list[tuple[str, str]] = []

        async def refresh_memory(self, extracted: str, session_id: str) -> None:
            self.pages.append((session_id, extracted))

    notebook = Notebook()
    refresher: MemoryRefresher = notebook
    await refresher.refresh_memory("- Prefers tea", "echo:web:ann")
    assert notebook.pages == [("echo:web:ann", "- Prefers tea")]
