"""How much is measured, in a full run and in a quick one."""

from dataclasses import dataclass

THREADS, SEQUENTIAL, STATIC, THEIRS, OURS = (
    "a thread per request",
    "sequential generate",
    "static padded batch",
    "transformers' batching",
    "our engine",
)
EVERYONE = (THREADS, SEQUENTIAL, STATIC, THEIRS, OURS)


@dataclass(frozen=True, slots=True)
class Case:
    """So many requests at once, and who serves them. `turns` crowds a round, each of other requests."""

    at_once: int
    turns: int
    rounds: int
    contenders: tuple[str, ...] = EVERYONE
    prompt: tuple[int, int] = (16, 256)  # tokens, evenly spread
    new: tuple[int, int] = (64, 128)

    @property
    def title(self) -> str:
        return f"{self.at_once} at once"


@dataclass(frozen=True, slots=True)
class Contest:
    """The cases of one model."""

    shape: str
    cases: tuple[Case, ...]


@dataclass(frozen=True, slots=True)
class Alone:
    """What is measured of our engine alone, on one model."""

    shape: str
    rounds: int
    rows: int  # sequences in the batch whose decoding is taken apart
    row_tokens: int  # new tokens of each
    neighbours: int  # that decode while a prompt joins
    steps_before: int  # decoding steps before it does
    joining: int  # tokens of that prompt
    prefix: int  # tokens of a prompt that comes again, with another end
    tail: int  # tokens of that end


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole run."""

    contests: tuple[Contest, ...]
    alone: Alone


_NOT_IN_TURN = (THREADS, STATIC, THEIRS, OURS)  # one after another is no faster where more are waiting

FULL = Plan(
    contests=(
        Contest(
            "small",
            (
                Case(1, turns=4, rounds=3),
                Case(16, turns=1, rounds=3, contenders=_NOT_IN_TURN),
                Case(64, turns=1, rounds=2, contenders=_NOT_IN_TURN),
            ),
        ),
        Contest(
            "100M",
            (
                Case(1, turns=1, rounds=2),
                Case(16, turns=1, rounds=1, contenders=_NOT_IN_TURN),
                Case(64, turns=1, rounds=1, contenders=(STATIC, OURS), new=(16, 32)),
            ),
        ),
    ),
    alone=Alone(
        "100M", 2, rows=16, row_tokens=32, neighbours=12, steps_before=24, joining=1_500, prefix=1_000, tail=24
    ),
)
QUICK = Plan(
    contests=(Contest("tiny", (Case(1, 1, 1, prompt=(4, 8), new=(2, 4)), Case(3, 1, 1, prompt=(4, 8), new=(2, 4)))),),
    alone=Alone("tiny", 1, rows=3, row_tokens=8, neighbours=3, steps_before=4, joining=100, prefix=96, tail=4),
)
