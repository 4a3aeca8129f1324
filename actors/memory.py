"""Memory hygiene: which lines of what a model extracted are kept for good, and how they read."""

import re

NO_MEMORY_NEEDED = "NO_MEMORY_NEEDED"
"""What an extraction answers, in any case, and what a normalisation gives, when nothing is worth keeping."""

# A marker counts only before white space, so that `3.11`, `-v` and `**bold**` stay whole; nobody writes a
# word that begins with a bullet.
_MARKER = re.compile(r"(?:(?:[-*]|\d+[.)])(?: |$)|\u2022 ?)")
_FENCE = re.compile(r"`{3,}[\w+-]*")
_ENDS = " .,:;`'\"\u2018\u2019\u201a\u201c\u201d\u201e\u00ab\u00bb"


def _words(*patterns: str) -> re.Pattern[str]:
    """A pattern for whole words; an underscore parts words, so that `trace_id` is found in `my_trace_id`."""
    return re.compile(rf"(?<![a-z0-9])(?:{'|'.join(patterns)})(?![a-z0-9])", re.IGNORECASE)


_ID = r"[ _-]?id(?:s|entifiers?)?"
_TRANSIENT_WORDS = _words(
    # what one run printed, and how it is traced
    r"std[ _-]?(?:out|err)",
    r"exit[ _-]?codes?",
    rf"(?:trace|run){_ID}",
    r"stack[ _-]?traces?",
    r"debug[ _-]?logs?",
    r"audit[ _-]?trails?",
    # what was allowed and done in one turn
    r"approvals?",
    r"(?:user|was|were|been|auto)[ -]approved",
    r"tool[ _-]?(?:calls?|outputs?|results?)",
    # files that came with one message
    r"uploaded (?:an? |the |this |that )?files?",
    r"attachment[ _-]?paths?",
    r"screenshots? (?:is |was |are |were )?attached",
    r"attached screenshots?",
    r"te?mp(?:orary)?[ _-]?files?",
    # the conversation itself
    rf"(?:session|conversation){_ID}",
    r"system[ _-]?prompts?",
)
_TRANSIENT_PATHS = re.compile(
    r"""
      [/\\]tmp(?![a-z0-9_-])       # /tmp, /var/tmp, C:\tmp
    | (?<![a-z0-9_-])tmp[/\\]      # tmp/report.txt
    | [/\\]temp[/\\]               # AppData\Local\Temp\x
    | \\temp(?![a-z0-9_-])         # C:\Temp
    | /var/folders/                # where macOS keeps temporary files
    | %te?mp% | \$\{?te?mp(?:dir)?\b
    | [/\\]upload[/\\]             # /mnt/upload/
    | [/\\]uploads(?![a-z0-9_-])   # /srv/uploads
    | (?<![a-z0-9_-])uploads[/\\](?!downloads?\b)
    """,
    re.IGNORECASE | re.VERBOSE,
)
_PREFERENCE = _words("prefer[a-z]*", "(?:dis)?likes", "wants", "expects", "defaults?")
_PROJECT_FACT = _words(
    "projects?", "(?:mono)?repo(?:s|sitory|sitories)?", "working on", "code[ -]?bases?", "uses", "builds"
)


def normalize_extracted_memory_for_storage(extracted: str) -> str:
    """Clean what a model extracted from a conversation, so that only what stays true is stored.

    Each line loses the white space around it, one bullet or number, then the back-quotes around it. Dropped
    are lines that only held for the moment (temporary and upload paths, output and traces of a run,
    approvals, tool calls, attached files, ids of the conversation, talk of the system prompt), lines without
    a letter or digit, and repetitions by `normalize_memory_fingerprint`. Normalising the result again changes
    nothing.

    Args:
        extracted: The model's answer, one fact per line.

    Returns:
        Lines ``- text``: preferences, then facts of projects, then the rest, otherwise in the order given;
        `NO_MEMORY_NEEDED` if no line is left; the empty string for a blank input.
    """
    if not extracted.strip():
        return ""
    kept: dict[str, str] = {}
    for line in extracted.splitlines():
        text = _clean(line)
        if _is_durable(text):
            kept.setdefault(normalize_memory_fingerprint(line), text)
    return "\n".join(f"- {text}" for text in sorted(kept.values(), key=_group)) or NO_MEMORY_NEEDED


def normalize_memory_fingerprint(content: str) -> str:
    """Reduce one memory to what makes it the same as another.

    Returns:
        The text as it is cleaned for storage, in lower case, without white space, full stops, commas, colons,
        semicolons, quotes and back-quotes at its ends.
    """
    return _clean(content).lower().strip(_ENDS)


def _clean(line: str) -> str:
    """One line without its marker and surrounding back-quotes, white space joined to single spaces."""
    text = " ".join(line.split())
    if marker := _MARKER.match(text):
        text = text[marker.end() :]
    if _FENCE.fullmatch(text):
        return ""
    bare = text.strip("`")
    # `pytest` in "`pytest` runs the tests" is a quoted word: those back-quotes do not surround the line.
    return text if "`" in bare else bare.strip()


def _is_durable(text: str) -> bool:
    """Whether a cleaned line says anything, and anything that outlives the moment."""
    if not any(map(str.isalnum, text)):
        return False
    if normalize_memory_fingerprint(text).replace(" ", "_") == NO_MEMORY_NEEDED.lower():
        return False
    return not (_TRANSIENT_WORDS.search(text) or _TRANSIENT_PATHS.search(text))


def _group(text: str) -> int:
    """Where a cleaned line stands: 0 for preferences, 1 for facts of projects, 2 for the rest."""
    if _PREFERENCE.search(text):
        return 0
    return 1 if _PROJECT_FACT.search(text) else 2
