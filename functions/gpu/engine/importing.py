"""Importing torch and what it brings, without a word in the log and without a look for a device.

Both are torchao's doing, which transformers imports wherever it is installed: it warns of kernels that were built
for another Python, and asks CUDA what there is. In a process that is put to sleep before it has its device, that
question would be answered for good: CUDA looks once.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

NOISY = ("torchao", "torch.utils._pytree")


@contextmanager
def importing(*, early: bool) -> Iterator[None]:
    """Around imports, and `early` around whatever happens before the device is there: CUDA is not asked for one."""
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    if not early:
        yield
        return
    import torch  # noqa: PLC0415  (seconds; nobody who imports the package alone should pay for them)

    ask = torch.cuda.is_available
    torch.cuda.is_available = lambda: False
    try:
        yield
    finally:
        torch.cuda.is_available = ask
