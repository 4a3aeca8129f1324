"""How many tokens a session's context may hold when nobody said anything useful about it."""

DEFAULT_CONTEXT_TOKEN_BUDGET = 128_000
"""Tokens; the context window of the models in common use, GPT-4o's for one."""

LEGACY_DEFAULT_CONTEXT_TOKEN_BUDGET = 8000
"""Tokens; the default before budgets followed the model, which old settings carry though nobody chose it."""


def normalize_token_budget(max_tokens: int) -> int:
    """The budget to use for a configured one, in tokens.

    Returns:
        `DEFAULT_CONTEXT_TOKEN_BUDGET` for 0, less than 0 or the legacy default; ``max_tokens`` otherwise.
    """
    if max_tokens <= 0 or max_tokens == LEGACY_DEFAULT_CONTEXT_TOKEN_BUDGET:
        return DEFAULT_CONTEXT_TOKEN_BUDGET
    return max_tokens
