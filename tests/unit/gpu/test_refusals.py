"""What the engine does not take, in the API's words and with the numbers."""

import pytest

from functions.gpu.engine import InvalidPrompt, PromptTooLong, QueueFull
from functions.gpu.refusals import Refusal, refusal_of


@pytest.mark.parametrize(
    ("error", "status", "code", "says"),
    [
        (QueueFull(64, 64, own=33), 429, "queue_full", ["33", "64"]),
        (QueueFull(64, 64, own=32), 503, "queue_full", []),
        (QueueFull(1, 1, own=1), 429, "queue_full", ["1"]),
        (InvalidPrompt("roles must alternate"), 400, "invalid_prompt", ["messages", "roles must alternate"]),
        (PromptTooLong(90, 20, 100), 400, "context_length_exceeded", ["110", "90", "20", "100", "messages"]),
    ],
)
def test_every_refusal(error: Refusal, status: int, code: str, says: list[str]) -> None:
    refusal = refusal_of(error, "messages")
    assert (refusal.status, refusal.code) == (status, code)
    assert [word for word in says if word not in refusal.message] == []
    assert refusal.param == ("messages" if status == 400 else None)


def test_who_may_come_again_is_told_when() -> None:
    for own in (0, 64):
        assert refusal_of(QueueFull(64, 64, own=own, retry_after_s=9), "prompt").headers == {"Retry-After": "9"}
