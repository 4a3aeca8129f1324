"""The token budget used for a configured one."""

import pytest
from greenroom.actors.budget import (
    DEFAULT_CONTEXT_TOKEN_BUDGET,
    LEGACY_DEFAULT_CONTEXT_TOKEN_BUDGET,
    normalize_token_budget,
)
from hypothesis import given
from hypothesis import strategies as st


def test_the_budgets_have_their_published_values() -> None:
    assert (DEFAULT_CONTEXT_TOKEN_BUDGET, LEGACY_DEFAULT_CONTEXT_TOKEN_BUDGET) == (128_000, 8000)


@pytest.mark.parametrize("configured", [-(2**70), -1, 0, 8000])
def test_no_budget_and_the_legacy_one_become_the_default(configured: int) -> None:
    assert normalize_token_budget(configured) == 128_000


@pytest.mark.parametrize("configured", [1, 7999, 8001, 128_000, 1_000_000])
def test_any_other_budget_stays(configured: int) -> None:
    assert normalize_token_budget(configured) == configured


@given(st.integers())
def test_a_normalised_budget_is_positive_and_stays(configured: int) -> None:
    budget = normalize_token_budget(configured)
    assert budget > 0
    assert normalize_token_budget(budget) == budget
