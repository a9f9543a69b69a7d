"""What a log says: who is done, who was there when a worker died, what is owed and what is to be given back."""

from functions.gpu.shards.history import History
from penstock.batches.log import Attempt, Closed, Entry
from penstock.ledger import Usage
from tests.unit.gpu.shards.entries import begun, ended


def history(*log: Entry) -> History:
    read = History()
    for entry in log:
        read.add(entry)
    return read


def test_nothing_was_done_of_an_empty_log() -> None:
    assert history() == History()
    assert (history().attempts, history().next_slice, history().closed) == (0, 0, False)


def test_what_ended_is_done_and_owed() -> None:
    read = history(Attempt(1, "a"), begun(0, 1, 2, 3), begun(1, 4), ended(0, 1, 2, failed=[3]), Closed())
    assert read.done == {1, 2, 3}
    assert (read.completed, read.failed, read.usage) == (2, 1, Usage(4, 0, 2))
    assert {number: (lease.requests, usage) for number, (lease, usage) in read.owed.items()} == {0: (2, Usage(4, 0, 2))}
    assert (read.next_slice, read.closed) == (2, True)
    assert set(read.open) == {1}


def test_lines_under_way_at_a_death_are_counted_and_their_leases_given_back() -> None:
    read = history(Attempt(1, "a"), begun(0, 1, 2), begun(1, 3), ended(0, 1, 2), begun(2, 4), Attempt(2, "b"))
    assert read.deaths == {3: 1, 4: 1}
    assert read.alone == {}
    assert [lease.id for lease in read.lost] == ["req_slice1", "req_slice2"]
    assert (read.attempts, read.next_slice, read.open) == (2, 3, {})


def test_a_line_is_blamed_alone_where_nothing_else_was_under_way() -> None:
    read = history(
        Attempt(1, "a"), begun(0, 1), begun(1, 2), ended(1, 2), Attempt(2, "b"), begun(2, 1), Attempt(3, "c")
    )
    assert (read.deaths, read.alone) == ({1: 2}, {1: 2})


def test_a_worker_that_left_in_order_killed_nobody() -> None:
    read = history(Attempt(1, "a"), begun(0, 1, 2), ended(0, 1), begun(1, 3), ended(1), Attempt(2, "b"))
    assert read.deaths == {}
    assert read.lost == []
    assert read.done == {1}


def test_lines_that_were_told_without_being_begun_are_done_and_owe_nothing() -> None:
    read = history(Attempt(1, "a"), ended(0, failed=[1, 2]))
    assert (read.done, read.failed, read.owed, read.next_slice) == ({1, 2}, 2, {}, 1)
