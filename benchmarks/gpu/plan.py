"""How much is done, in a full run and in a quick one, which a CPU can do too."""

from dataclasses import dataclass

from benchmarks.engine.plan import Alone


@dataclass(frozen=True, slots=True)
class Correctness:
    """Requests to each tiny model."""

    requests: int
    prompt: tuple[int, int]  # tokens, evenly spread
    new: tuple[int, int]
    window: int  # tokens, of the families with sliding windows
    step_tokens: int  # where prompts are read in pieces
    pages: int  # where there are too few of them, of 16 tokens each


@dataclass(frozen=True, slots=True)
class Speed:
    """What one model is asked."""

    shape: str
    context: int
    max_running: int
    step_tokens: int
    offline: int  # requests
    longest: int  # tokens of a prompt, and of an answer
    online: tuple[int, ...]  # clients at once
    online_each: int  # requests of each client, one after another
    batches: tuple[int, ...]  # rows in a decoding step
    batch_prompt: int  # tokens
    batch_steps: int
    copied: int  # bytes, to measure the bandwidth
    multiplied: int  # rows and columns, to measure the rate of operations
    alone: Alone


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole run."""

    correctness: Correctness
    speed: Speed


FULL = Plan(
    Correctness(requests=8, prompt=(5, 700), new=(64, 96), window=100, step_tokens=64, pages=54),
    Speed(
        shape="8B",
        context=4_096,
        max_running=256,
        step_tokens=2_048,
        offline=1_000,
        longest=1_024,
        online=(1, 16, 64, 256),
        online_each=4,
        batches=(1, 16, 64, 256),
        batch_prompt=512,
        batch_steps=50,
        copied=1 << 30,
        multiplied=8_192,
        alone=Alone(
            "8B",
            rounds=2,
            rows=64,
            row_tokens=128,
            neighbours=15,
            steps_before=50,
            joining=1_500,
            prefix=1_000,
            tail=24,
        ),
    ),
)
QUICK = Plan(
    Correctness(requests=4, prompt=(5, 28), new=(24, 32), window=16, step_tokens=16, pages=6),
    Speed(
        shape="tiny",
        context=512,
        max_running=8,
        step_tokens=64,
        offline=6,
        longest=24,
        online=(1, 3),
        online_each=2,
        batches=(1, 4),
        batch_prompt=16,
        batch_steps=4,
        copied=1 << 20,
        multiplied=64,
        alone=Alone(
            "tiny", rounds=1, rows=3, row_tokens=12, neighbours=3, steps_before=4, joining=100, prefix=96, tail=4
        ),
    ),
)
