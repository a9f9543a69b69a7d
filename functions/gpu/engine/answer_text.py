"""One answer's tokens to the text that may leave: whole characters, and nothing of a stop string."""

from functions.gpu.engine.detokenizer import Detokenizer, TokenText
from functions.gpu.engine.protocol import Sampling
from functions.gpu.engine.stop import StopStrings


class AnswerText:
    """The text of one choice. Stop strings count from the token after `min_tokens` on."""

    def __init__(self, vocabulary: TokenText, sampling: Sampling) -> None:
        self._detokenizer = Detokenizer(vocabulary)
        self._stops = StopStrings(sampling.stop)
        self._unstoppable = sampling.min_tokens if sampling.stop else 0  # tokens still to come

    @property
    def stopped(self) -> bool:
        """Whether a stop string came: what has left is all there is."""
        return self._stops.hit

    def push(self, token: int) -> str:
        """The text that a token lets leave."""
        text = self._detokenizer.push(token)
        if self._unstoppable:
            self._unstoppable -= 1
            return text
        return self._stops.push(text)

    def finish(self) -> str:
        """The text still held back, now that no more tokens come."""
        rest = self._detokenizer.finish()
        return rest if self._unstoppable else self._stops.push(rest) + self._stops.finish()
