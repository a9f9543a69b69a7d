"""The logs of a whole session hold ids and counts, and nothing else."""

import re
from typing import Any

import openai
import orjson
import pytest
from openai.types.chat import ChatCompletionMessageParam

from tests.e2e.service import Service, wait_for

PROMPT = "a very private question about xylophones"


@pytest.mark.parametrize("delivery", ["relay", "direct"])
def test_no_key_ticket_prompt_or_answer_is_in_any_log(service: Service, delivery: str) -> None:
    client = service.client()
    messages: list[ChatCompletionMessageParam] = [{"role": "user", "content": PROMPT}]
    answer = client.chat.completions.create(
        model="demo", messages=messages, temperature=0, extra_headers={"Penstock-Delivery": delivery}
    )
    for bad in ("tools", "nonsense"):
        with pytest.raises(openai.BadRequestError):
            client.chat.completions.create(model="demo", messages=messages, extra_body={bad: [PROMPT]})
    with pytest.raises(openai.NotFoundError):
        client.get(f"/{service.key}", cast_to=object)
    logs = service.logs()
    text = answer.choices[0].message.content
    assert text
    secrets = [service.key, service.key.split("_")[2], PROMPT, "xylophones", text, "ticket="]
    ticket_keys = (service.data / "ticket.key").read_text().strip()
    for secret in [*secrets, ticket_keys, ticket_keys.partition(":")[2]]:
        assert secret not in logs
    assert not re.search(r"[A-Za-z0-9]+\.[A-Za-z0-9_-]{80,}\.[A-Za-z0-9_-]{40,}", logs), "a ticket"


def test_each_request_has_one_line_with_its_counts(service: Service) -> None:
    answer = service.client().chat.completions.create(
        model="demo", messages=[{"role": "user", "content": "Hi"}], extra_headers={"x-request-id": "mine-1"}
    )
    request_id = "req_" + answer.id.removeprefix("chatcmpl-")

    def requests(process: str) -> list[dict[str, Any]]:
        lines = [orjson.loads(line) for line in service.logs().splitlines() if request_id in line]
        return [line for line in lines if line["process"] == process and line["event"] == "request"]

    # A line is written when its answer has gone out.
    edge, gpu = wait_for("the edge's line", lambda: requests("edge")), wait_for("the GPU's", lambda: requests("gpu"))
    assert len(edge) == len(gpu) == 1
    assert edge[0]["client_request_id"] == "mine-1"
    assert edge[0]["status"] == 200
    assert edge[0]["model"] == gpu[0]["model"] == "demo"
    assert answer.usage is not None
    assert gpu[0]["prompt_tokens"] == answer.usage.prompt_tokens
    assert gpu[0]["completion_tokens"] == answer.usage.completion_tokens
