"""Stop strings: text in, the text that may leave out.

Promises that no part of a stop string leaves, that nothing is held back which cannot begin one, and that the
result does not depend on how the text was cut into pieces. The stop string that is complete first ends the
text; of several that end at the same character the longest one counts.
"""


class StopStrings:
    """Watches one answer for its stop strings."""

    def __init__(self, stops: tuple[str, ...]) -> None:
        self._stops = stops
        self._longest = max(map(len, stops), default=0)
        self._held = ""
        self.hit = False

    def push(self, text: str) -> str:
        """Take new text and give what may leave. Once `hit` is true, what left is all there is."""
        text = self._held + text
        end = self._cut(text)
        if end is None:
            end = len(text) - self._begun(text)
        self._held = "" if self.hit else text[end:]
        return text[:end]

    def finish(self) -> str:
        """What was held back, now that no more text comes."""
        held, self._held = self._held, ""
        return held

    def _cut(self, text: str) -> int | None:
        """Where the first complete stop string begins."""
        found = [(start + len(stop), start) for stop in self._stops if (start := text.find(stop)) >= 0]
        self.hit = bool(found)
        return min(found)[1] if found else None

    def _begun(self, text: str) -> int:
        """The length of the longest ending of `text` that could still become a stop string."""
        for length in range(min(self._longest - 1, len(text)), 0, -1):
            ending = text[-length:]
            if any(len(stop) > length and stop.startswith(ending) for stop in self._stops):
                return length
        return 0
