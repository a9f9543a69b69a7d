"""The process in which one model is served by every contender, by turns.

`python -m benchmarks.engine.contest CONTEST PLAN RESULT`: the contest is its number in the plan, full or
quick. In each round of each case every contender has its turn with the same requests; every other round goes in
reverse order. RESULT becomes a JSON file: for each case and contender, the measures (timeline.py) of each round.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.child import end_with_parent
from benchmarks.engine.models import FIRST_WORD, make_model, make_tokenizer
from benchmarks.engine.ours import Ours, make_engine
from benchmarks.engine.peers import Contender, Sequential, StaticBatch, Threads, TransformersBatching
from benchmarks.engine.plan import FULL, OURS, QUICK, SEQUENTIAL, STATIC, THEIRS, THREADS, Case, Contest
from benchmarks.engine.shapes import SHAPES, Shape
from benchmarks.engine.timeline import Served
from benchmarks.engine.workload import Request, workload

_KV_BYTES = 1 << 30
Rounds = dict[str, list[dict[str, float | None]]]


def run(contest: Contest) -> dict[str, Rounds]:
    """All rounds of all cases."""
    shape = SHAPES[contest.shape]
    with _contenders(shape, max(case.at_once for case in contest.cases)) as contenders:
        for contender in contenders.values():
            contender.serve(_requests(shape, Case(2, 1, 1, new=(2, 2)))[0])  # what is made once is made
        return {case.title: _rounds(contenders, case, _requests(shape, case)) for case in contest.cases}


@contextmanager
def _contenders(shape: Shape, at_once: int) -> Iterator[dict[str, Contender]]:
    """The peers share one copy of the model; ours has another, whose attention it has replaced."""
    model, tokenizer = make_model(shape), make_tokenizer(shape.vocabulary)
    ours = Ours(
        make_engine(
            make_model(shape),
            tokenizer,
            shape.context,
            max_running=at_once,
            queue_limit=2 * at_once,
            kv_bytes=_KV_BYTES,
        )
    )
    with closing(ours):
        yield {
            THREADS: Threads(model, tokenizer),
            SEQUENTIAL: Sequential(model),
            STATIC: StaticBatch(model),
            THEIRS: TransformersBatching(model),
            OURS: ours,
        }


def _requests(shape: Shape, case: Case) -> list[list[Request]]:
    """The requests of each turn."""
    words = range(FIRST_WORD, shape.vocabulary)
    requests = workload(case.at_once * case.turns, words, case.prompt, case.new)
    return [requests[turn * case.at_once :][: case.at_once] for turn in range(case.turns)]


def _rounds(contenders: Mapping[str, Contender], case: Case, crowds: list[list[Request]]) -> Rounds:
    rounds: Rounds = defaultdict(list)
    for number in range(case.rounds):
        for name in reversed(case.contenders) if number % 2 else case.contenders:
            served = Served()
            for crowd in crowds:
                served.add(contenders[name].serve(crowd), sum(request.new for request in crowd))
            rounds[name].append(served.measures())
    return rounds


def main() -> None:
    """Measure, and write the result."""
    parser = argparse.ArgumentParser()
    parser.add_argument("contest", type=int)
    parser.add_argument("plan", choices=("full", "quick"))
    parser.add_argument("result", type=Path)
    options: Any = parser.parse_args()
    end_with_parent()
    plan = QUICK if options.plan == "quick" else FULL
    options.result.write_text(json.dumps(run(plan.contests[options.contest])), encoding="utf-8")


if __name__ == "__main__":
    main()
