"""Lets the engine be imported where there is no llguidance. Nothing here asks for a grammar; one would fail."""

import sys
from importlib.util import find_spec
from unittest.mock import MagicMock

if find_spec("llguidance") is None:
    sys.modules.update({name: MagicMock() for name in ("llguidance", "llguidance.hf", "llguidance.torch")})
