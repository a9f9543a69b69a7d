"""How many tokens of prompts one step may compute beside the sequences that decode.

Who decodes waits for the whole step, so a prompt is taken in chunks that make it at most `stretch` times as
long as a step that only decodes. Where several wait and few decode, the many outweigh the few, and chunks
grow in proportion: small ones would cost those who wait, and the machine, more than they spare the others.
What a step and a token cost is measured as the engine runs, because it depends on the model, the machine and
the length of what is attended to.
"""

WEIGHT = 16  # of each who waits behind the first, beside one who decodes
SLOW, FAST = 0.2, 0.5  # how much of a new measurement is believed


class Pace:
    """Measures steps, and gives the next one's share for prompts."""

    def __init__(self, *, stretch: float, step_tokens: int, least: int) -> None:
        self._stretch = stretch
        self._step_tokens = step_tokens
        self._least = least  # tokens; smaller chunks cost more than they spare
        self._decoding_s: dict[int, float] = {}  # of a step, by the size (power of two) of what decodes
        self._token_s = 0.0  # of a prompt's token

    def share(self, decoding: int, reading: int) -> int:
        """Tokens for prompts in a step where so many sequences decode and so many prompts wait or are read."""
        most = self._step_tokens - decoding
        if decoding == 0:
            return most
        step_s = self._step_s(decoding)
        if not self._token_s or not step_s:
            return min(self._least, most)
        room_s = (self._stretch - 1) * step_s * max(1.0, WEIGHT * (reading - 1) / decoding)
        return max(min(self._least, most), int(min(most, room_s / self._token_s)))

    def observe(self, decoding: int, prompt_tokens: int, seconds: float) -> None:
        """Learn from a step."""
        if not prompt_tokens:
            size = decoding.bit_length()
            before = self._decoding_s.get(size, seconds)
            self._decoding_s[size] = before + SLOW * (seconds - before)
        else:
            rest = max(seconds - self._step_s(decoding), seconds / 10) if decoding else seconds
            cost = rest / prompt_tokens
            self._token_s += FAST * (cost - self._token_s) if self._token_s else cost

    def _step_s(self, decoding: int) -> float:
        """What a step with so many costs, or one with the nearest number that was measured."""
        size = decoding.bit_length()
        if size in self._decoding_s:
            return self._decoding_s[size]
        if not self._decoding_s:
            return 0.0
        return self._decoding_s[min(self._decoding_s, key=lambda known: abs(known - size))]
