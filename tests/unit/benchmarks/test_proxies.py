"""The table of the edge beside LiteLLM's proxy: what stands in it where something was not measured."""

from benchmarks.edge.crowd import Seen
from benchmarks.edge.proxies import Case, Contest, table
from benchmarks.spread import Spread

CASE = Case(100)
CONTEST = Contest([CASE], rounds=1, seconds=1, beside_litellm=True)


def seen(latency: float, failures: list[str] | None = None) -> Seen:
    return Seen(
        answered=2, latency_ms=[latency], failures=failures or [], elapsed=1.0, server_cpu=latency, resident=1 << 20
    )


def test_a_ratio_is_the_edges_by_the_proxys() -> None:
    told = table(
        {(CASE, "the stub itself"): [seen(1)], (CASE, "Penstock"): [seen(2)], (CASE, "LiteLLM"): [seen(8)]}, CONTEST
    )
    *_, ratio = told.data()
    assert ratio["what"] == "100: Penstock / its"
    assert told.rows[-1]["p50_ms"] == Spread(0.25, 0.25, 0.25)
    assert told.rows[-1]["cpu_ms"] == 0.25
    assert told.rows[-1]["per_second"] == Spread(1, 1, 1)
    assert any("no database" in note for note in told.notes)


def test_a_proxy_that_could_not_be_had_has_an_empty_row_and_a_reason() -> None:
    told = table({(CASE, "the stub itself"): [seen(1)], (CASE, "Penstock"): [seen(2)]}, CONTEST, why_not="no network")
    *_, theirs = told.rows
    assert theirs == {"what": "100: LiteLLM"} | {column.key: None for column in told.columns if column.key != "what"}
    assert any(note.endswith("no network") for note in told.notes)
    assert not any("no database" in note for note in told.notes)


def test_failures_are_counted_and_the_first_is_shown() -> None:
    told = table(
        {(CASE, "the stub itself"): [seen(1)], (CASE, "Penstock"): [seen(2, ["503 full", "503 again"])]}, CONTEST
    )
    assert told.rows[1]["failed"] == 2
    assert told.notes[-1].endswith("Penstock: the first failure was: 503 full")


def test_what_a_server_never_answered_has_no_latency_and_no_ratio() -> None:
    nothing = Seen(failures=["503"], elapsed=1.0)
    told = table(
        {(CASE, "the stub itself"): [seen(1)], (CASE, "Penstock"): [seen(2)], (CASE, "LiteLLM"): [nothing]}, CONTEST
    )
    assert told.rows[2]["p50_ms"] is None
    assert told.rows[3]["p50_ms"] is None
    assert told.rows[3]["per_second"] is None
