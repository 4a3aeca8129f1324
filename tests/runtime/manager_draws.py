"""What the machine of managers says and asks: few values, so that they meet again."""

from typing import Literal

import hypothesis.strategies as st
from greenroom.persistence.ids import SessionID
from greenroom.persistence.records import Message, SessionFilter, SessionState, ToolCall

from tests.runtime.kept_session import HOLD
from tests.runtime.manager_model import COMMANDS

IDS = [
    SessionID("echo", "web", "ann"),
    SessionID("echo", "mail", "a:nn", "t%1"),
    SessionID("llm", "web", "bob"),
]
sessions = st.sampled_from([IDS[0], IDS[0], IDS[0], *IDS[1:]])  # mostly one, so that much happens in it
client_ids = st.sampled_from([f"c{number}" for number in range(20)])
contents = st.sampled_from(["red", "red blue 🧵", "//new", "//new", "//", "/other", HOLD])
commands = st.sampled_from([f"/{name}" for name in COMMANDS])
modes = st.sampled_from(["followup", "followup", "followup", "reject", "interrupt"])
texts = st.sampled_from(["", "red", "Blue", "blue red é"])
messages = st.one_of(
    st.builds(Message, st.sampled_from(["system", "user", "assistant"]), texts),
    st.builds(Message, st.just("assistant"), texts, st.just((ToolCall("k1", "look", '{"at": "red"}'),))),
    st.builds(Message, st.just("tool"), texts, tool_call_id=st.just("k1")),
)
updates = st.fixed_dictionaries(
    {},
    optional={
        "title": texts,
        "tags": st.lists(st.sampled_from(["x", "y"]), max_size=2, unique=True).map(tuple),
        "custom_data": st.dictionaries(st.sampled_from(["k", "l"]), texts, max_size=2),
        "system_prompt": texts,
        "summary": texts,
    },
)
filters = st.builds(
    SessionFilter,
    agent_id=st.none() | st.sampled_from(["echo", "llm"]),
    channel_id=st.none() | st.sampled_from(["web", "mail"]),
    peer_id=st.none() | st.sampled_from(["ann", "a:nn"]),
    state=st.none() | st.sampled_from(SessionState),
    created_after=st.none() | st.integers(1, 9).map(lambda seconds: seconds * 1_000_000),
    created_before=st.none() | st.integers(1, 9).map(lambda seconds: seconds * 1_000_000),
    limit=st.integers(0, 2),
    offset=st.integers(0, 2),
)
Expecting = Literal["nothing", "epoch", "seq", "both", "another epoch", "another seq"]
verbs = st.sampled_from(["new_session", "reset", "clear", "archive", "delete"])
expectings: st.SearchStrategy[Expecting] = st.sampled_from(
    ["nothing", "nothing", "nothing", "epoch", "seq", "both", "another epoch", "another seq"]
)
