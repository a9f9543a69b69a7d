"""What becomes of an API's errors in a terminal: a Failure of one line."""

from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import ValidationError

from penstock.cli.failure import Failure
from penstock.client import ConnectionFailed, PenstockError, StatusError, UnexpectedAnswer


class ApiFailure(Failure):
    """The API refused, or broke off; `code` is the envelope's."""

    def __init__(self, message: str, code: str | None) -> None:
        super().__init__(message)
        self.code = code


@contextmanager
def api_failures(url: str) -> Iterator[None]:
    """Every error of the client within, as a Failure."""
    try:
        yield
    except StatusError as error:
        raise ApiFailure(_line(error), error.code) from error
    except (UnexpectedAnswer, ValidationError) as error:
        raise Failure(f"{url} does not answer as OpenAI's API does") from error
    except ConnectionFailed as error:
        if error.sent:
            raise ApiFailure(_line(error), None) from error
        raise Failure(f"cannot reach {url}: {error.__cause__}; is `penstock serve` running?") from error
    except PenstockError as error:
        raise Failure(_line(error)) from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
