"""The scripted app as a Lambda function. FAILS in the environment says how it does not start."""

import os

from mangum import Mangum

from penstock.models import ConfigError
from tests.integration.edge.scripted_app import SECRET, add, app

match os.environ.get("FAILS"):
    case "by a setting":
        raise ConfigError("PENSTOCK_GPU_URL: must be\nan URL")
    case "unforeseen":
        raise ValueError(SECRET)


class Rest:
    """What the function does before a request."""

    async def wake(self) -> None:
        """Note it."""
        add("woken")


rest = Rest()
handler = Mangum(app, lifespan="off")
