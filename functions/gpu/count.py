"""What a request has used so far, counted from its events."""

from functions.gpu.engine import Prefilled
from functions.gpu.work import Embedded, Happening
from penstock.ledger import Usage


class Count:
    """The tokens of all its prompts and choices. A prompt counts once it is read: before that, nothing was done."""

    def __init__(self) -> None:
        self._prompt = 0
        self._cached = 0
        self._completion = 0
        self._of_choice: dict[int, int] = {}

    @property
    def usage(self) -> Usage:
        """The sum."""
        return Usage(self._prompt, self._cached, self._completion)

    def add(self, event: Happening) -> bool:
        """Count an event; whether it told of a new token of an answer."""
        if isinstance(event, Prefilled):
            self._prompt += event.prompt_tokens
            self._cached += event.cached_tokens
        if isinstance(event, Prefilled | Embedded):
            return False
        new = event.completion_tokens - self._of_choice.get(event.index, 0)
        self._of_choice[event.index] = event.completion_tokens
        self._completion += new
        return new > 0
