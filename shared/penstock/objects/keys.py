"""What a key may be, in every store alike: so that what one holds, the other can."""

_LONGEST = 1_024  # bytes, as at S3


def check_key(key: str) -> str:
    """The key, where it is one: names of printable characters, between single `/`, none of them `.` or `..`.

    Raises ValueError.
    """
    names = key.split("/")
    if not key.isprintable() or len(key.encode()) > _LONGEST or any(name in ("", ".", "..") for name in names):
        raise ValueError(f"{key[:64]!r} is no key of an object")
    return key


def check_prefix(prefix: str) -> str:
    """The prefix, where it is one: a key with a `/` behind it. Raises ValueError."""
    if not prefix.endswith("/"):
        raise ValueError(f"{prefix[:64]!r} is no prefix of keys: it does not end in a /")
    check_key(prefix[:-1])
    return prefix


def is_key(key: str) -> bool:
    """Whether it is one."""
    try:
        check_key(key)
    except ValueError:
        return False
    return True
