"""What a wrong request is told: parameter, code and message, as users see them, so pinned."""

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from penstock.errors import BadRequest
from penstock.schemas import read_chat_request, read_completion_request, read_embedding_request

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
{"top_a":5}
    top_a | unknown_parameter
    Unknown parameter: 'top_a'.
{"n":9}
    n | invalid_value
    n: input should be less than or equal to 8.
{"n":0}
    n | invalid_value
    n: input should be greater than or equal to 1.
{"n":true}
    n | invalid_type
    n: input should be a valid integer.
{"presence_penalty":-2.5}
    presence_penalty | invalid_value
    presence_penalty: input should be greater than or equal to -2.
{"logit_bias":[1]}
    logit_bias | invalid_type
    logit_bias: must be an object of token ids and biases.
{"logit_bias":{"01":1}}
    logit_bias.01 | invalid_value
    logit_bias.01: is not a token id: its name must be a number such as '50256'.
{"logit_bias":{"٣":1}}
    logit_bias.٣ | invalid_value
    logit_bias.٣: is not a token id: its name must be a number such as '50256'.
{"logit_bias":{"2147483648":1}}
    logit_bias.2147483648 | invalid_value
    logit_bias.2147483648: is not a token id: its name must be a number such as '50256'.
{"logit_bias":{"5":101}}
    logit_bias.5 | invalid_value
    logit_bias.5: must be from -100 to 100.
{"logit_bias":{"5":true}}
    logit_bias.5 | invalid_type
    logit_bias.5: must be a number.
{"top_logprobs":5}
    top_logprobs | invalid_value
    top_logprobs: is only allowed when 'logprobs' is true.
{"logprobs":true,"top_logprobs":21}
    top_logprobs | invalid_value
    top_logprobs: input should be less than or equal to 20.
{"top_k":-2}
    top_k | invalid_value
    top_k: input should be greater than or equal to 0.
{"min_p":1.5}
    min_p | invalid_value
    min_p: input should be less than or equal to 1.
{"repetition_penalty":0}
    repetition_penalty | invalid_value
    repetition_penalty: input should be greater than 0.
{"min_tokens":5,"max_completion_tokens":4}
    min_tokens | invalid_value
    min_tokens: is more than 'max_completion_tokens', 4.
{"stop_token_ids":7}
    stop_token_ids | invalid_type
    stop_token_ids: must be a list of token ids.
{"stop_token_ids":[7,"8"]}
    stop_token_ids[1] | invalid_type
    stop_token_ids[1]: must be a token id, a whole number.
{"stop_token_ids":[-1]}
    stop_token_ids[0] | invalid_value
    stop_token_ids[0]: must be a token id from 0 to 2147483647.
{"response_format":"json"}
    response_format | invalid_type
    response_format: must be an object.
{"response_format":{"type":"xml"}}
    response_format.type | invalid_value
    response_format.type: input should be 'text', 'json_object' or 'json_schema'.
{"response_format":{"type":"json_schema"}}
    response_format.json_schema | missing_required_parameter
    response_format.json_schema: field required.
{"response_format":{"type":"json_schema","json_schema":{"name":"a"}}}
    response_format.json_schema.schema | missing_required_parameter
    response_format.json_schema.schema: field required.
{"response_format":{"type":"json_schema","json_schema":{"name":"a","schema":true}}}
    response_format.json_schema.schema | invalid_type
    response_format.json_schema.schema: must be an object.
{"response_format":{"type":"json_schema","json_schema":{"name":"a","form":{}}}}
    response_format.json_schema.schema | missing_required_parameter
    response_format.json_schema.schema: field required.
{"response_format":{"type":"json_object","json_schema":{"name":"a","schema":{}}}}
    response_format.json_schema | invalid_value
    response_format.json_schema: is only allowed when 'type' is 'json_schema'.
{"structured_outputs":{}}
    structured_outputs | invalid_value
    structured_outputs: must have exactly one of 'regex', 'choice' and 'json'.
{"structured_outputs":{"regex":"a","choice":["a"]}}
    structured_outputs | invalid_value
    structured_outputs: must have exactly one of 'regex', 'choice' and 'json'.
{"structured_outputs":{"grammar":"a"}}
    structured_outputs.grammar | unknown_parameter
    structured_outputs.grammar: extra inputs are not permitted.
{"structured_outputs":{"choice":["a",""]}}
    structured_outputs.choice[1] | invalid_value
    structured_outputs.choice[1]: string should have at least 1 character.
{"structured_outputs":{"json":"{}"}}
    structured_outputs.json | invalid_type
    structured_outputs.json: must be an object.
{"structured_outputs":{"regex":"a"},"response_format":{"type":"json_object"}}
    structured_outputs | invalid_value
    structured_outputs: is only allowed when 'response_format' asks for text.
"""

# The same of a completion.
OF_COMPLETIONS = r"""
{"prompt":null}
    prompt | invalid_type
    prompt: must be a string, a list of strings, a list of token ids, or a list of such lists.
{"prompt":[]}
    prompt | invalid_value
    prompt: must not be empty.
{"prompt":["a",[1]]}
    prompt[1] | invalid_type
    prompt[1]: must be a string, a list of strings, a list of token ids, or a list of such lists, and not of both.
{"prompt":[1,"a"]}
    prompt[1] | invalid_type
    prompt[1]: must be a token id, a whole number.
{"prompt":[true]}
    prompt[0] | invalid_type
    prompt[0]: must be a token id, a whole number.
{"prompt":[[1],[2,-1]]}
    prompt[1][1] | invalid_value
    prompt[1][1]: must be a token id from 0 to 2147483647.
{"prompt":[[]]}
    prompt[0] | invalid_value
    prompt[0]: must be a list of 1 to 10,000,000 token ids.
{"max_tokens":0}
    max_tokens | invalid_value
    max_tokens: may be 0 only when 'echo' is true.
{"min_tokens":17}
    min_tokens | invalid_value
    min_tokens: is more than 'max_tokens', 16.
{"logprobs":true}
    logprobs | invalid_type
    logprobs: input should be a valid integer.
{"logprobs":21}
    logprobs | invalid_value
    logprobs: input should be less than or equal to 20.
{"best_of":3,"n":2}
    best_of | unsupported_parameter
    best_of: may only be as many as 'n': all are sent.
{"suffix":"x"}
    suffix | unsupported_parameter
    'suffix' is not supported. It may only be null or ''.
{"messages":[]}
    messages | unknown_parameter
    Unknown parameter: 'messages'.
{"response_format":{"type":"json_object"}}
    response_format | unknown_parameter
    Unknown parameter: 'response_format'.
"""

OF_EMBEDDINGS = r"""
{"input":null}
    input | invalid_type
    input: must be a string, a list of strings, a list of token ids, or a list of such lists.
{"input":""}
    input | invalid_value
    input: must not be empty.
{"input":["a",""]}
    input[1] | invalid_value
    input[1]: must not be empty.
{"dimensions":0}
    dimensions | invalid_value
    dimensions: input should be greater than or equal to 1.
{"encoding_format":"hex"}
    encoding_format | invalid_value
    encoding_format: input should be 'float' or 'base64'.
{"stream":true}
    stream | unknown_parameter
    Unknown parameter: 'stream'.
"""

GOOD: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hello!"}]}


def cases(reader: Callable[[bytes], Any], good: dict[str, Any], errors: str) -> list[Any]:
    """Of each case the reader, the body, and what is said of it."""
    lines = errors.strip().splitlines()
    return [
        pytest.param(reader, {**good, **orjson.loads(sent)}, names, message, id=sent)
        for sent, names, message in zip(lines[::3], lines[1::3], lines[2::3], strict=True)
    ]


CASES = [
    *cases(read_chat_request, GOOD, ERRORS),
    *cases(read_completion_request, {"model": "m", "prompt": "Hello"}, OF_COMPLETIONS),
    *cases(read_embedding_request, {"model": "m", "input": "Hello"}, OF_EMBEDDINGS),
]


@pytest.mark.parametrize(("reader", "body", "names", "message"), CASES)
def test_the_error_names_what_is_wrong(
    reader: Callable[[bytes], Any], body: dict[str, Any], names: str, message: str
) -> None:
    param, code = names.strip().split(" | ")
    with pytest.raises(BadRequest) as refused:
        reader(orjson.dumps(body))
    assert refused.value.status == 400
    assert refused.value.envelope() == {
        "error": {"message": message.strip(), "type": "invalid_request_error", "param": param, "code": code}
    }
