"""Why a benchmark could not measure."""


class BenchmarkFailed(Exception):
    """Something that was measured did not do its work; the message says what."""
