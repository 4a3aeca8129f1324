"""Closing waits for reads that run and refuses those that wait."""

from threading import Thread

import pytest
from greenroom.persistence import SQLiteSessionStore
from greenroom.persistence.errors import StoreClosedError, StoreUnavailableError
from greenroom.persistence.readers import READERS

from . import hand


def test_close_waits_for_running_reads_and_refuses_waiting_ones(sqlite_store: SQLiteSessionStore) -> None:
    facts = hand.write(sqlite_store, hand.facts(), "hello")
    lent = [sqlite_store._readers.snapshot() for _ in range(READERS)]
    connections = [one.__enter__() for one in lent]
    refused: list[BaseException] = []

    def read() -> None:
        try:
            sqlite_store.facts(facts.id)
        except StoreClosedError as error:
            refused.append(error)

    reader, closer = Thread(target=read), Thread(target=sqlite_store.close)
    reader.start()
    closer.start()
    reader.join()
    assert len(refused) == 1
    assert closer.is_alive()
    for connection in connections:
        assert connection.execute("SELECT count(*) FROM journal").fetchone() == (1,)
    for one in lent:
        one.__exit__(None, None, None)
    closer.join()


def test_a_read_that_fails_gives_its_connection_back(sqlite_store: SQLiteSessionStore) -> None:
    for _ in range(2 * READERS):
        with (
            pytest.raises(StoreUnavailableError, match="no such table"),
            sqlite_store._readers.snapshot() as c,
        ):
            c.execute("SELECT * FROM nowhere")
    assert sqlite_store.stats().total_sessions == 0


def test_a_close_that_cannot_fold_the_log_in_still_releases_the_file(
    sqlite_store: SQLiteSessionStore,
) -> None:
    facts = hand.write(sqlite_store, hand.facts(), "hello")
    sqlite_store._db.conn.close()
    with pytest.raises(StoreUnavailableError, match="cannot fold the log in"):
        sqlite_store.close()
    sqlite_store.close()
    again = SQLiteSessionStore(sqlite_store.path)
    assert again.facts(facts.id) == facts
    again.close()
