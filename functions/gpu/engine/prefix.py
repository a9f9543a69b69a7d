"""What a full page contains, as a key: a hash of its tokens and of the key of the page before it.

So a key stands for all tokens from the beginning, and equal keys mean equal keys and values, since a token's
depend only on the tokens before it. The hash is a cryptographic one: nobody can make a prompt whose pages
are taken for another's. The first page's key begins with a salt, which keeps apart who shall not share.
"""

from array import array
from hashlib import blake2b

from functions.gpu.engine.sequence import Sequence

KEY_BYTES = 16


def extend_keys(sequence: Sequence, pages: int, page_tokens: int) -> None:
    """Bring the sequence's keys up to its first so many pages; all their tokens must be known."""
    keys = sequence.keys
    for page in range(len(keys), pages):
        before = keys[-1] if keys else b""
        tokens = array("I", sequence.tokens(page * page_tokens, (page + 1) * page_tokens))
        salt = sequence.salt if page == 0 else b""
        keys.append(
            blake2b(salt + before + tokens.tobytes(), digest_size=KEY_BYTES, person=b"penstock-prefix").digest()
        )
