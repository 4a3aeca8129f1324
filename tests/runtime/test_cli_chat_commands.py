"""Commands typed into ``greenroom chat``, as a process."""

from pathlib import Path

from .processes import RunningServer, greenroom


def test_commands_work_in_a_piped_chat_and_are_answered_in_their_place(tmp_path: Path) -> None:
    with RunningServer(tmp_path) as server:
        url = server.addresses["ws"]
        typed = "hello\n/new\n//new\n/compact\n/stop\n/archive\nback again\n"
        done = greenroom("chat", "echo:pipe:ann", "--url", url, cwd=tmp_path, stdin=typed)
        assert (done.returncode, done.stderr) == (0, "")
        lines = done.stdout.splitlines()
        for line in (
            "[a new conversation has begun]",
            "[/compact failed: not_supported]",
            "[the conversation is closed until the next message]",
            "back again",
        ):
            assert lines.count(line) == 1
        assert lines.index("[a new conversation has begun]") < lines.index("back again")
        assert any(line.startswith("[turns cut off: ") for line in lines)
        told = greenroom("chat", "echo:pipe:ann", "--url", url, cwd=tmp_path, stdin="/help\n")
        assert (told.returncode, told.stderr) == (0, "")
        assert told.stdout.startswith("/new: ")
        assert server.stop() == 0


def test_a_piped_chat_waits_for_no_answer_to_a_message_that_a_command_removed(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text("import trio\nasync def never(turn):\n    await trio.sleep_forever()\n")
    with RunningServer(tmp_path, "--agent", "slow:never") as server:
        url = server.addresses["ws"]
        done = greenroom("chat", "x:pipe:ann", "--url", url, cwd=tmp_path, stdin="one\ntwo\nthree\n/stop\n")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == "[turns cut off: 1; waiting messages forgotten: 2]\n"
        assert server.stop() == 0
