"""The keys that LiteLLM's proxy accepts: its custom authentication, run in its process by its own Python.

Interface: docs.litellm.ai/docs/proxy/custom_auth. Of such a key the proxy enforces the limits on rates, and the
budget of each model, not one for all models.
"""

import os

from fastapi import HTTPException, Request
from litellm.proxy._types import UserAPIKeyAuth  # type: ignore[import-not-found]

from benchmarks.edge.litellm import POOR, RICH

_LIMITS = {"rpm_limit": 10**9, "tpm_limit": 10**12, "max_parallel_requests": 10**6}
_DOLLARS = {RICH: 1e9, POOR: 1e-9}


async def authenticate(_: Request, api_key: str) -> UserAPIKeyAuth:
    """The key with its limits and its budget, or a 401."""
    for name, dollars in _DOLLARS.items():
        if api_key == os.environ[name]:
            budget = {"budget_limit": dollars, "time_period": "30d"}
            return UserAPIKeyAuth(api_key=api_key, model_max_budget={"stub": budget, "slow": budget}, **_LIMITS)
    raise HTTPException(401, "unknown key")
