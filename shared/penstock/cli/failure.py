"""A failure that the user can do something about: one line on standard error, and an exit code."""


class Failure(Exception):
    """The command cannot go on. The message is one line and says what to do where that is known."""

    def __init__(self, message: str, *, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code
