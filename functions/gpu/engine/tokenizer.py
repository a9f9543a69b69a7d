"""A conversation to token ids, through the chat template that came with the model.

Promises that no content can forge a control token (fence.py), that contents with nothing of one in them are
tokenized exactly as the template's author meant it, and that whatever the template refuses becomes an
InvalidPrompt with the template's own words. Roles are checked here too, because some templates make control
tokens out of them. A model without a template reads plain texts only (text_tokenizer.py).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import TemplateError

from functions.gpu.engine.control_tokens import ROLES, ControlTokens
from functions.gpu.engine.fence import Fence
from functions.gpu.engine.protocol import InvalidPrompt

REASON = 300  # characters of a template's refusal that are passed on


class ChatTokenizer:
    """Tokenizes conversations for one model; several threads may use it."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._has_template = tokenizer.chat_template is not None
        self._template: str = tokenizer.get_chat_template() if self._has_template else ""
        self._controls = ControlTokens(tokenizer.backend_tokenizer, self._template)

    def encode(self, messages: Sequence[Mapping[str, str]]) -> list[int]:
        """The ids of a conversation, up to where the assistant's answer begins. Raises InvalidPrompt."""
        if not self._has_template:
            raise InvalidPrompt("this model has no chat template")
        if not messages:
            raise InvalidPrompt("there are no messages")
        roles = [self._role(message["role"]) for message in messages]
        contents = [_unicode(message["content"]) for message in messages]
        fence = Fence(self._tokenizer.backend_tokenizer, self._controls, contents)
        marked = [fence.mark(content) for content in contents]
        chat = [{"role": role, "content": text} for role, text in zip(roles, marked, strict=True)]
        return fence.encode(self._render(chat))

    def _role(self, role: str) -> str:
        if role not in ROLES:
            raise InvalidPrompt(f"the role {role[:REASON]!r} is none of {', '.join(ROLES)}")
        return "system" if role == "developer" and "developer" not in self._template else role

    def _render(self, chat: list[dict[str, str]]) -> str:
        render = self._tokenizer.apply_chat_template
        try:
            return str(render(chat, chat_template=self._template, tokenize=False, add_generation_prompt=True))
        except TemplateError as error:
            raise InvalidPrompt(str(error)[:REASON]) from None
        except Exception as error:  # a template is a program, and may fail in any way
            reason = f"{type(error).__name__}: {error}"[:REASON]
            raise InvalidPrompt(f"the chat template failed: {reason}") from error


def _unicode(content: str) -> str:
    try:
        content.encode()
    except UnicodeEncodeError:
        raise InvalidPrompt("a message has half a surrogate pair, which is no Unicode text") from None
    return content
