"""What a wrong request is told: parameter, code and message, as users see them, so pinned."""

from typing import Any

import orjson
import pytest

from penstock.errors import BadRequest
from penstock.schemas import read_chat_request

# Parameters that differ from those of a good request; below them the answer's param, code and message.
ERRORS = r"""
{"model":null}
    model | invalid_type
    model: input should be a valid string.
{"model":""}
    model | invalid_value
    model: string should have at least 1 character.
{"messages":[]}
    messages | invalid_value
    messages: list should have at least 1 item after validation, not 0.
{"messages":"Hello!"}
    messages | invalid_type
    messages: must be a list.
{"messages":["Hello!"]}
    messages[0] | invalid_type
    messages[0]: must be an object.
{"messages":[{"role":"user","content":"Hello!"},{"role":"user"}]}
    messages[1].content | missing_required_parameter
    messages[1].content: field required.
{"messages":[{"content":"x"}]}
    messages[0].role | missing_required_parameter
    messages[0].role: field required.
{"messages":[{"role":"user","content":null}]}
    messages[0].content | invalid_type
    messages[0].content: must be a string or a list of text parts.
{"messages":[{"role":"user","content":[]}]}
    messages[0].content | invalid_value
    messages[0].content: must have between 1 and 1024 parts.
{"messages":[{"role":"user","content":["x"]}]}
    messages[0].content[0] | invalid_type
    messages[0].content[0]: must be an object.
{"messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url"}]}]}
    messages[0].content[1].type | unsupported_parameter
    messages[0].content[1].type: only parts of type 'text' are supported.
{"messages":[{"role":"user","content":[{"type":"text"}]}]}
    messages[0].content[0] | invalid_value
    messages[0].content[0]: a text part has 'type' and 'text', and nothing else.
{"messages":[{"role":"user","content":[{"type":"text","text":1}]}]}
    messages[0].content[0].text | invalid_type
    messages[0].content[0].text: must be a string.
{"messages":[{"role":"robot","content":"x"}]}
    messages[0].role | invalid_value
    messages[0].role: input should be 'system', 'developer', 'user' or 'assistant'.
{"messages":[{"role":"tool","content":"x"}]}
    messages[0].role | unsupported_parameter
    messages[0].role: messages of the role 'tool' are not supported.
{"messages":[{"role":"user","content":"Hello!","tool_calls":[{"id":"c"}]}]}
    messages[0].tool_calls | unsupported_parameter
    messages[0].tool_calls: is not supported.
{"messages":[{"role":"user","content":"Hello!","tone":"dry"}]}
    messages[0].tone | unknown_parameter
    messages[0].tone: extra inputs are not permitted.
{"max_tokens":0}
    max_tokens | invalid_value
    max_tokens: input should be greater than or equal to 1.
{"max_tokens":1.5}
    max_tokens | invalid_type
    max_tokens: input should be a valid integer.
{"max_tokens":"16"}
    max_tokens | invalid_type
    max_tokens: input should be a valid integer.
{"max_tokens":true}
    max_tokens | invalid_type
    max_tokens: input should be a valid integer.
{"max_tokens":1,"max_completion_tokens":2}
    max_tokens | invalid_value
    max_tokens: differs from 'max_completion_tokens'; send one of them.
{"temperature":2.1}
    temperature | invalid_value
    temperature: input should be less than or equal to 2.
{"temperature":"1"}
    temperature | invalid_type
    temperature: input should be a valid number.
{"temperature":true}
    temperature | invalid_type
    temperature: input should be a valid number.
{"top_p":-0.1}
    top_p | invalid_value
    top_p: input should be greater than or equal to 0.
{"seed":9223372036854775808}
    seed | invalid_value
    seed: input should be less than or equal to 9223372036854775807.
{"stop":1}
    stop | invalid_type
    stop: must be a string or a list of strings.
{"stop":["a",null]}
    stop | invalid_type
    stop: must be a string or a list of strings.
{"stop":[""]}
    stop | invalid_value
    stop: at most 4 strings of 1 to 256 characters.
{"stop":["a","a","a","a","a"]}
    stop | invalid_value
    stop: at most 4 strings of 1 to 256 characters.
{"stream":"yes"}
    stream | invalid_type
    stream: input should be a valid boolean.
{"stream":1}
    stream | invalid_type
    stream: input should be a valid boolean.
{"stream_options":{"include_usage":true}}
    stream_options | invalid_value
    stream_options: is only allowed when 'stream' is true.
{"stream":true,"stream_options":true}
    stream_options | invalid_type
    stream_options: must be an object.
{"stream":true,"stream_options":{"usage":true}}
    stream_options.usage | unknown_parameter
    stream_options.usage: extra inputs are not permitted.
{"metadata":{"a":1}}
    metadata.a | invalid_type
    metadata.a: input should be a valid string.
{"metadata":[]}
    metadata | invalid_type
    metadata: must be an object.
{"tools":[{}]}
    tools | unsupported_parameter
    'tools' is not supported. It may only be null or [].
{"n":2}
    n | unsupported_parameter
    'n' is not supported. It may only be null or 1.
{"top_k":5}
    top_k | unknown_parameter
    Unknown parameter: 'top_k'.
"""

GOOD: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hello!"}]}
LINES = ERRORS.strip().splitlines()
CASES = list(zip(LINES[::3], LINES[1::3], LINES[2::3], strict=True))


@pytest.mark.parametrize(("sent", "names", "message"), CASES)
def test_the_error_names_what_is_wrong(sent: str, names: str, message: str) -> None:
    param, code = names.strip().split(" | ")
    with pytest.raises(BadRequest) as refused:
        read_chat_request(orjson.dumps({**GOOD, **orjson.loads(sent)}))
    assert refused.value.status == 400
    assert refused.value.envelope() == {
        "error": {"message": message.strip(), "type": "invalid_request_error", "param": param, "code": code}
    }
