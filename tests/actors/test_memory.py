"""Memory hygiene: pairs for every rule, and what holds for any text."""

import pytest
from greenroom.actors.memory import (
    NO_MEMORY_NEEDED,
    normalize_extracted_memory_for_storage,
    normalize_memory_fingerprint,
)
from hypothesis import example, given
from hypothesis import strategies as st

MARKERS_AND_QUOTES = [
    ("Lives in Köln", "- Lives in Köln"),
    ("- Lives in Köln", "- Lives in Köln"),
    ("* Lives in Köln", "- Lives in Köln"),
    ("• Lives in Köln", "- Lives in Köln"),
    ("•Lives in Köln", "- Lives in Köln"),
    ("1. Lives in Köln", "- Lives in Köln"),
    ("12) Lives in Köln", "- Lives in Köln"),
    ("  \t-   Lives \t in\u00a0 Köln  ", "- Lives in Köln"),
    ("Lives in Köln\r\nSpeaks German\rHas two cats\n", "- Lives in Köln\n- Speaks German\n- Has two cats"),
    ("\n\n- Lives in Köln\n\n\n- Has two cats\n", "- Lives in Köln\n- Has two cats"),
    ("- `Lives in Köln`", "- Lives in Köln"),
    ("``` Lives in Köln ```", "- Lives in Köln"),
    ("`Lives in Köln", "- Lives in Köln"),
    ("`pytest` runs the tests", "- `pytest` runs the tests"),
    ("The tests run with `pytest`", "- The tests run with `pytest`"),
    ("`ruff` comes before `pyright`", "- `ruff` comes before `pyright`"),
    ("```text\n- Lives in Köln\n```", "- Lives in Köln"),
    ("3.11 is the oldest Python supported", "- 3.11 is the oldest Python supported"),
    ("-v is the flag they know", "- -v is the flag they know"),
    ("**Deadline**: 1 May", "- **Deadline**: 1 May"),
    ("- 2. Bundesliga is their league", "- 2. Bundesliga is their league"),
    ("-\n*\n•\n1.\n``\n---\n...\nLives in Köln", "- Lives in Köln"),
]
NOTHING_TO_KEEP = [
    ("", ""),
    (" \t\n \u3000\r\n", ""),
    ("NO_MEMORY_NEEDED", NO_MEMORY_NEEDED),
    ("no_memory_needed", NO_MEMORY_NEEDED),
    ("No_Memory_Needed\n", NO_MEMORY_NEEDED),
    ("- `NO_MEMORY_NEEDED`.", NO_MEMORY_NEEDED),
    ("No memory needed.", NO_MEMORY_NEEDED),
    ("NO_MEMORY_NEEDED\n- Lives in Köln", "- Lives in Köln"),
    ("-\n*\n```", NO_MEMORY_NEEDED),
    ("- The exit code was 1\n- Saved to /tmp/a", NO_MEMORY_NEEDED),
]
TRANSIENT = [
    "The report is in /tmp/report.txt",
    "Scratch space is /tmp.",
    "The socket is /var/tmp/x.sock",
    "See tmp/out.json",
    "The dump lies in /private/tmp/dump",
    r"Wrote C:\Users\Ann\AppData\Local\Temp\a.log",
    r"Wrote C:\TEMP",
    "Caches to /var/folders/zz/T",
    "Writes to $TMPDIR and %TEMP%",
    "Got /mnt/uploads/cv.pdf",
    "Got uploads/cv.pdf",
    "Photos are in /srv/upload/photos",
    "Nothing came on stdout",
    "STDERR said: disk full",
    "The exit code was 137",
    "Exit-code 2 means usage",
    "Trace ID 4bf92f35",
    "trace_id=4bf92f35",
    "The runId is 77",
    "my_run_id was 77",
    "The stack trace names app.py",
    "A stacktrace was shown",
    "The debug log is long",
    "It is in the audit trail",
    "Approval was given for the deletion",
    "Waiting for approvals",
    "The plan was approved",
    "Made a tool call to search",
    "tool_call_id call_9 failed",
    "The tool output was empty",
    "Tool results were cut short",
    "The uploaded file is a CV",
    "They uploaded a file",
    "Attachment path: cv.pdf",
    "Screenshot attached",
    "A screenshot was attached",
    "A temporary file was made",
    "Left temp files behind",
    "Session ID is web:1",
    "The conversation_id is 9",
    "The conversation identifier is 9",
    "The system prompt asks for brevity",
]
LIKE_TRANSIENT_BUT_DURABLE = [
    "The flag --template is theirs",
    "They measure temp/humidity",
    "Upload/download speed matters",
    "Compares uploads/downloads by hour",
    "Always run identical tests",
    "Tool calling is new to them",
    "They call tools by nickname",
    "Designs sessions for retreats",
    "Systems prompt their curiosity",
    "Their file cabinet is temporary",
    "Hybrid engines interest them",
]
ORDER = [
    (
        "Has two cats\nThe project is Kite\nPrefers tea",
        "- Prefers tea\n- The project is Kite\n- Has two cats",
    ),
    ("Zed\nThe preferred editor is vim", "- The preferred editor is vim\n- Zed"),
    ("Zed\nHas a preference for tea", "- Has a preference for tea\n- Zed"),
    ("Zed\nLikes tea", "- Likes tea\n- Zed"),
    ("Zed\nDislikes tea", "- Dislikes tea\n- Zed"),
    ("Zed\nWANTS short answers", "- WANTS short answers\n- Zed"),
    ("Zed\nExpects tests", "- Expects tests\n- Zed"),
    ("Zed\nThe default branch is main", "- The default branch is main\n- Zed"),
    ("Zed\nThe repo is on a private host", "- The repo is on a private host\n- Zed"),
    ("Zed\nTwo repositories", "- Two repositories\n- Zed"),
    ("Zed\nA monorepo", "- A monorepo\n- Zed"),
    ("Zed\nIs working on Kite", "- Is working on Kite\n- Zed"),
    ("Zed\nThe codebase is old", "- The codebase is old\n- Zed"),
    ("Zed\nUses Trio", "- Uses Trio\n- Zed"),
    ("Zed\nBuilds with make", "- Builds with make\n- Zed"),
    ("Zed\nReports to Ann", "- Zed\n- Reports to Ann"),
    ("Zed\nA house built last year", "- Zed\n- A house built last year"),
    ("Uses Trio\nWants the project to use Trio", "- Wants the project to use Trio\n- Uses Trio"),
    ("Uses B\nLikes D\nUses A\nLikes C\nZ\nY", "- Likes D\n- Likes C\n- Uses B\n- Uses A\n- Z\n- Y"),
]
REPETITIONS = [
    ("Has cats\nHas cats", "- Has cats"),
    ("Has cats.\n* HAS  CATS", "- Has cats."),
    ('"Has cats"\n`has cats`;', '- "Has cats"'),
    ("Has cats\nHas two cats", "- Has cats\n- Has two cats"),
    ("Zed\nLikes tea\nzed\nLIKES TEA:", "- Likes tea\n- Zed"),
]


@pytest.mark.parametrize(
    ("extracted", "stored"), MARKERS_AND_QUOTES + NOTHING_TO_KEEP + ORDER + REPETITIONS, ids=repr
)
def test_extracted_memory_is_stored_as(extracted: str, stored: str) -> None:
    assert normalize_extracted_memory_for_storage(extracted) == stored


@pytest.mark.parametrize("line", TRANSIENT)
def test_a_transient_line_is_dropped_and_its_neighbours_stay(line: str) -> None:
    stored = normalize_extracted_memory_for_storage(f"- Has cats\n- {line}\n- Speaks German")
    assert stored == "- Has cats\n- Speaks German"


@pytest.mark.parametrize("line", LIKE_TRANSIENT_BUT_DURABLE)
def test_a_line_that_only_resembles_a_transient_one_is_kept(line: str) -> None:
    assert normalize_extracted_memory_for_storage(line) == f"- {line}"


@pytest.mark.parametrize(
    ("content", "fingerprint"),
    [
        ("Prefers tabs", "prefers tabs"),
        ("- Prefers  TABS.", "prefers tabs"),
        ("3) \u201cPrefers tabs\u201d;", "prefers tabs"),
        ("* `Prefers tabs`,", "prefers tabs"),
        ("'Prefers tabs':", "prefers tabs"),
        ("Prefers\n tabs", "prefers tabs"),
        ("Prefers tabs, not spaces", "prefers tabs, not spaces"),
        ("Version 3.11", "version 3.11"),
        ("...", ""),
        ("", ""),
    ],
)
def test_the_fingerprint_of(content: str, fingerprint: str) -> None:
    assert normalize_memory_fingerprint(content) == fingerprint


# Rich in what the rules look at, so that they meet in every combination.
SIGNS = [
    "-",
    "*",
    "•",
    "1.",
    "2)",
    "`",
    "``",
    "```",
    ".",
    ":",
    '"',
    " ",
    "  ",
    "\t",
    "\u00a0",
    "\u2028",
    "\n",
    "\r\n",
]
WORDS = [
    "NO_MEMORY_NEEDED",
    "Prefers",
    "uses",
    "project",
    "tea",
    "TEA",
    "Straße",
    "İ",
    "ΑΣ",
    "tmp/",
    "stdout",
]
PIECES = st.sampled_from(SIGNS + WORDS)
EXTRACTED = st.lists(PIECES | st.text(max_size=4), max_size=30).map("".join)


@given(EXTRACTED)
@example("- - a")
@example("`- a`")
@example("• • a\n• a")
@example("1. `2) a`\n2) a")
def test_normalising_what_is_stored_changes_nothing(extracted: str) -> None:
    stored = normalize_extracted_memory_for_storage(extracted)
    assert normalize_extracted_memory_for_storage(stored) == stored


@given(EXTRACTED)
def test_stored_memory_is_nothing_or_distinct_lines_of_clean_text(extracted: str) -> None:
    stored = normalize_extracted_memory_for_storage(extracted)
    if not extracted.strip():
        assert stored == ""
    elif stored != NO_MEMORY_NEEDED:
        lines = stored.splitlines()
        assert all(line == "- " + " ".join(line.split()[1:]) for line in lines)
        assert len({normalize_memory_fingerprint(line) for line in lines}) == len(lines)


FACT = (
    st.text("abcdefghij XYZ", min_size=1, max_size=20).map(lambda text: " ".join(text.split())).filter(bool)
)


@given(
    FACT,
    st.sampled_from(["", "- ", "* ", "• ", "•", "1. ", "42) ", "  -\t"]),
    st.sampled_from([("", ""), ("`", "`"), ("```", "```"), ('"', '"'), ("'", "'"), ("\u201c", "\u201d")]),
    st.sampled_from(["", ".", ",", ":", ";", " .", "...", "  "]),
    st.sampled_from([str, str.upper, str.lower, lambda text: text.replace(" ", " \t ")]),
)
def test_what_people_write_differently_has_one_fingerprint_and_is_stored_once(
    fact: str, marker: str, quotes: tuple[str, str], end: str, spell: type[str]
) -> None:
    variant = f"{marker}{quotes[0]}{spell(fact)}{quotes[1]}{end}"
    assert normalize_memory_fingerprint(variant) == normalize_memory_fingerprint(fact)
    assert normalize_extracted_memory_for_storage(f"{fact}\n{variant}") == f"- {fact}"


GROUPS = {
    0: ["Prefers {}", "Likes {}", "Wants {}", "Expects {}", "{} by default", "Prefers {} in the project"],
    1: [
        "The project is {}",
        "The repo has {}",
        "Is working on {}",
        "The codebase of {}",
        "Uses {}",
        "Builds {}",
    ],
    2: ["Has {}", "Lives with {}", "{} is away"],
}
GROUPED = st.tuples(
    st.sampled_from([(group, form) for group, forms in GROUPS.items() for form in forms]), st.integers(0, 9)
).map(lambda drawn: (drawn[0][0], drawn[0][1].format(f"thing {drawn[1]}")))


@given(st.lists(GROUPED, min_size=1, unique=True))
def test_preferences_come_before_project_facts_before_the_rest_and_each_in_order(
    drawn: list[tuple[int, str]],
) -> None:
    stored = normalize_extracted_memory_for_storage("\n".join(text for _, text in drawn))
    assert stored.splitlines() == [f"- {text}" for group in GROUPS for of, text in drawn if of == group]


PHRASES = [
    *["/private/tmp/x", "tmp/x", "/AppData/Local/Temp/x", "/home/a/uploads/x", "uploads/x", "/var/folders/x"],
    *["stdout", "stderr", "exit code", "trace id", "run id", "stack trace", "debug log", "audit trail"],
    *["approval", "approvals", "tool call", "tool output", "uploaded file", "attachment path"],
    *["screenshot attached", "temporary file", "session id", "conversation id", "system prompt"],
]


@given(
    FACT,
    st.sampled_from(PHRASES),
    FACT,
    st.sampled_from([str, str.upper, str.title, lambda text: text.replace(" ", "  ")]),
    st.sampled_from(["", "- ", "1. "]),
)
def test_no_line_of_a_transient_class_survives_whatever_stands_around_it(
    before: str, phrase: str, after: str, spell: type[str], marker: str
) -> None:
    line = f"{marker}{before} {spell(phrase)} {after}"
    assert normalize_extracted_memory_for_storage(line) == NO_MEMORY_NEEDED
