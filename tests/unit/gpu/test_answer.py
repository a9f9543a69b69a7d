"""The answer's bytes, pinned: clients parse them."""

from functions.gpu.answer import Answer
from functions.gpu.engine import FinishReason
from penstock.ledger import Usage
from tests.unit.gpu.lease import LEASE, NOW

HEAD = '{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1750000000,"model":"demo",'
USAGE = Usage(prompt_tokens=3, cached_prompt_tokens=1, completion_tokens=2)
ON_THE_WIRE = '{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5,"prompt_tokens_details":{"cached_tokens":1}}'


def choices(delta: str, reason: str = "null") -> str:
    return f'"choices":[{{"index":0,"delta":{delta},"logprobs":null,"finish_reason":{reason}}}]'


def test_the_chunks_of_a_stream() -> None:
    answer = Answer(LEASE, NOW)
    role = '{"role":"assistant","content":"","refusal":null}'
    assert answer.role().decode() == f"data: {HEAD}{choices(role)}}}\n\n"
    assert answer.text("héllo\n").decode() == f"data: {HEAD}" + choices('{"content":"héllo\\n"}') + "}\n\n"
    assert answer.ending(FinishReason.LENGTH, USAGE).decode() == (
        f"data: {HEAD}" + choices("{}", '"length"') + "}\n\ndata: [DONE]\n\n"
    )


def test_the_chunks_of_a_stream_with_usage() -> None:
    answer = Answer(LEASE, NOW, include_usage=True)
    assert answer.text("a").decode() == f"data: {HEAD}" + choices('{"content":"a"}') + ',"usage":null}\n\n'
    assert answer.ending(FinishReason.STOP, USAGE).decode() == (
        f"data: {HEAD}" + choices("{}", '"stop"') + ',"usage":null}\n\n'
        f'data: {HEAD}"choices":[],"usage":{ON_THE_WIRE}}}\n\n'
        "data: [DONE]\n\n"
    )


def test_a_whole_answer() -> None:
    assert Answer(LEASE, NOW).whole("hé", FinishReason.STOP, USAGE).decode() == (
        '{"id":"chatcmpl-1","object":"chat.completion","created":1750000000,"model":"demo","choices":[{"index":0,'
        '"message":{"role":"assistant","content":"hé","refusal":null},"logprobs":null,"finish_reason":"stop"}],'
        f'"usage":{ON_THE_WIRE}}}'
    )
