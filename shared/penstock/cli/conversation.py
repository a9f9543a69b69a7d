"""A conversation with a model: what was said so far, as much of it as the context holds."""

from collections.abc import Generator

from penstock.cli.api import Api, Ended
from penstock.cli.api_failures import ApiFailure

FULL = "context_length_exceeded"


class Conversation:
    """Turns of user and assistant, after the system's instructions where there are any."""

    def __init__(self, api: Api, model: str, system: str | None) -> None:
        self.model = model
        self.forgetful = False  # whether older turns were dropped, because the context was full
        self._api = api
        self._system = [] if system is None else [{"role": "system", "content": system}]
        self._turns: list[dict[str, str]] = []

    def ask(self, text: str) -> Generator[str | Ended]:
        """The answer as it comes. What came of it stays in the conversation, even where it is cut short.

        Raises Failure; a question without any answer is forgotten.
        """
        self._turns.append({"role": "user", "content": text})
        said: list[str] = []
        try:
            for part in self._answer():
                if isinstance(part, str):
                    said.append(part)
                yield part
        finally:
            if said:
                self._turns.append({"role": "assistant", "content": "".join(said)})
            else:
                self._turns.pop()

    def _answer(self) -> Generator[str | Ended]:
        while True:
            try:
                yield from self._api.answer(self.model, self._system + self._turns)
            except ApiFailure as failure:
                if failure.code != FULL or len(self._turns) == 1:
                    raise
                del self._turns[:2]  # the oldest question, and its answer
                self.forgetful = True
            else:
                return
