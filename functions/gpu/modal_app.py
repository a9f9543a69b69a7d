"""The GPU half of Penstock on Modal, from top to bottom. `modal deploy -m functions.gpu.modal_app`

The table (`penstock.toml`) says which models are served, on which GPUs, and how each scales; this file says what
they run in and who reaches them. Every model has classes of its own, so that each scales alone, and to zero:

    Gate_MODEL        HTTPS: the ASGI app of the GPU process, behind Modal's proxy, or in the open with tickets
    Generator_MODEL   direct calls from Python, without HTTP
    Worker_MODEL      shards of a batch

All are thin: what a container does is `functions.gpu.container`, which knows nothing of Modal. Beside them stand a
Desk for what needs no GPU, and the function that fetches weights.
"""

import os
from collections.abc import AsyncGenerator, Callable, Iterator
from pathlib import Path
from typing import Any

import modal
import modal.experimental

from functions.gpu import desk
from functions.gpu.container import Container
from functions.gpu.direct import Chunk, Direct
from functions.gpu.identity import assume_own_role
from functions.gpu.service import end_process
from functions.gpu.weights import Progress, Weights
from functions.gpu.worker import Worker as ShardWorker
from penstock.deployment import ClassKind, class_name, read_deployment
from penstock.models import ServedModel, read_models
from penstock.settings import DirectSettings, read_settings

MINUTES = 60  # seconds
HOURS = 60 * MINUTES

# ## The table
#
# Read where this file is deployed from, and again in every container, where it lies beside the code.

ROOT = Path(__file__).resolve().parents[2]
TABLE = Path(os.environ.get("PENSTOCK_CONFIG", ROOT / "penstock.toml")) if modal.is_local() else ROOT / "penstock.toml"

DEPLOYMENT = read_deployment(TABLE)
MODELS = read_models(TABLE).models

# ## The image
#
# What changes seldom comes first, so that a deploy of new code builds nothing. torch is the registry's build for
# Linux, which is the one with CUDA, and pins NVIDIA's libraries itself; the lock leaves it out (its build for the
# CPU differs) and holds everything else, with hashes.

TORCH = "torch==2.13.0"
TORCHAO = "torchao==0.18.0"  # only where a model asks for 8 bits: transformers imports it wherever it is, 0.35 s

image = modal.Image.debian_slim(python_version="3.11").pip_install(TORCH)
if any(model.quantization == "int8" for model in MODELS):
    image = image.pip_install(TORCHAO, extra_options="--no-deps")
image = (
    image.pip_install_from_requirements(str(ROOT / "infra/locks/gpu.txt"), extra_options="--no-deps --require-hashes")
    .add_local_file(TABLE, "/root/penstock.toml")
    .add_local_python_source("penstock", "functions", ignore=["**/__pycache__", "edge", "batch"])
)

# ## What a container is given
#
# The weights, which it cannot change: `penstock weights pull` puts them there, and nothing is ever downloaded when
# a request comes. The secret holds the ledger's address, the keys that tickets are checked with, and the name
# of the role at AWS: no key of AWS, because a container proves who it is with its own token (identity.py).

WEIGHTS = "/weights"
volume = modal.Volume.from_name(DEPLOYMENT.volume, create_if_missing=True, version=2)
secret = modal.Secret.from_name(DEPLOYMENT.secret)

app = modal.App(DEPLOYMENT.app, include_source=False)  # the image has the code


def environment(model: ServedModel) -> dict[str, str | None]:
    """What one model's processes are told of it: settings, beside those in the secret."""
    placement = model.modal
    return {
        "PENSTOCK_MODEL": model.name,
        "PENSTOCK_DEVICE": "cuda" if placement.gpu else "cpu",
        "PENSTOCK_WEIGHTS": WEIGHTS,
        "PENSTOCK_OFFLINE": "1",
        "PENSTOCK_MAX_RUNNING": str(placement.max_running),
        "PENSTOCK_MAX_WAITING": str(placement.max_waiting),
        "HF_HUB_OFFLINE": "1",
    }


def resources(model: ServedModel, **settings: str) -> dict[str, Any]:
    """What a model's containers have: hardware, files, secrets, time to start in. `settings` are only some's."""
    placement = model.modal
    return {
        "image": image,
        "gpu": list(placement.gpu) or None,
        "cpu": placement.cpu,
        "memory": placement.memory_mib,
        "volumes": {WEIGHTS: volume.with_mount_options(read_only=True)},
        "secrets": [secret],
        "env": {**environment(model), **settings},
        "max_containers": placement.max_containers,
        "scaledown_window": placement.scaledown_window,
        "startup_timeout": placement.startup_timeout,
        "enable_memory_snapshot": placement.snapshot,
    }


# ## Gate: HTTPS
#
# Modal's proxy leads each request straight to the port, so a client that leaves is a disconnect, and ends its
# generation within a step. While no container is ready the proxy answers 503, and the edge asks again under the
# same lease. Relayed, nobody passes the proxy without Modal's own credentials, which the edge alone has, so no
# stranger wakes a GPU; for direct delivery the proxy lets everybody in, and the ticket is the only guard.
#
# A container that has to go (a deploy, a scale-down) is told with SIGTERM, takes no more, and has
# `exit_grace_period` to finish its streams; what is left then ends with an error event, and is settled.

PORT = 8000


class Gate:
    """The ASGI app of the GPU process."""

    def prepare(self) -> None:
        """Before the snapshot."""
        self.container = Container(retire=end_process)
        self.container.prepare()

    def start(self) -> None:
        """At each start."""
        self.container.listen(PORT)

    @modal.exit()
    def stop(self) -> None:
        """After SIGTERM."""
        self.container.stop_listening()


# ## Generator: direct calls
#
#     generator = modal.Cls.from_name("penstock", "Generator_demo")()
#     for item in generator.generate.remote_gen({"messages": [...]}, api_key="ps_..."): ...
#
# (`Penstock.direct(app="penstock", model="demo")` wraps this.) The methods are async, so that cancelling one call
# cancels one task: a sync method's cancellation would end the container, and its neighbours. A call is admitted
# and settled as a request over HTTPS is; without `api_key` the deployment's service key pays. A call whose
# container dies is delivered again by Modal, under the same input: it is then refused, not paid a second time.


class Called:
    """A container that is called."""

    container: Container

    def prepare(self) -> None:
        """Before the snapshot."""
        self.container = Container(retire=modal.experimental.stop_fetching_inputs)
        self.container.prepare()

    @modal.exit()
    async def stop(self) -> None:
        """After the last call, or after SIGTERM."""
        await self.container.close()


class Generator(Called):
    """What a Python program calls."""

    direct: Direct

    async def start(self) -> None:
        """At each start."""
        self.direct = await self.container.open()

    @modal.method()
    async def generate(
        self, request: dict[str, Any], *, api_key: str | None = None
    ) -> AsyncGenerator[dict[str, str] | list[Chunk], None]:
        """A chat or a completion, as a stream. Raises penstock.errors.ApiError.

        The first item is `{"call": ..., "request": ...}`: Modal's id of the call, to cancel it by
        (`modal.FunctionCall.from_id(call).cancel()`), and ours of the request. Each other is a list of chunks in
        OpenAI's shape: all that was generated since the item before. With `"stream": false`, and for embeddings,
        it is one list of the whole answer: so that this, too, can be cancelled. The last item is an empty list;
        without it the answer broke off, which Modal's client does not tell.
        """
        async for item in self.direct.stream(request, api_key=api_key, call=_input_id()):
            if isinstance(item, str):
                yield {"call": modal.current_function_call_id() or "", "request": item}
            else:
                yield item

    @modal.method()
    async def complete(self, request: dict[str, Any], *, api_key: str | None = None) -> dict[str, Any]:
        """A chat or a completion, whole, in OpenAI's shape. Raises penstock.errors.ApiError."""
        return await self.direct.whole(request, api_key=api_key, call=_input_id())

    @modal.method()
    async def embed(self, request: dict[str, Any], *, api_key: str | None = None) -> dict[str, Any]:
        """Embeddings, in OpenAI's shape. Raises penstock.errors.ApiError."""
        return await self.direct.whole(request, api_key=api_key, call=_input_id())


# ## Worker: shards of a batch
#
#     call = modal.Cls.from_name("penstock", "Worker_demo")().run.spawn(order)
#
# A pool of its own, so that a batch takes no place of those who wait. An order that is delivered again, because its
# container died, goes on where the shard's log ends; what cancels a call leaves its shard to the next one. While
# containers may be added each has one order; then each has a second one, whose lines fill its engine when those of
# the first run out.

ORDERS = 2


class Worker(Called):
    """What a batch calls."""

    worker: ShardWorker

    async def start(self) -> None:
        """At each start."""
        self.worker = await self.container.work()

    @modal.method()
    async def run(self, order: dict[str, Any]) -> dict[str, Any]:
        """An order for a shard, to its outcome (penstock.batches.orders). Raises penstock.errors.ApiError."""
        return await self.worker.run(order)


def _input_id() -> str:
    """What Modal calls this input, however often it is delivered."""
    name = modal.current_input_id()
    if name is None:
        raise RuntimeError("there is no input: this runs in a call alone")  # one name for all would be paid once
    return name


# ## A class per model and kind
#
# A container finds its class by the Python name, so each has one of its own in this module. Warm and spare
# containers are kept for the Gate alone: calls and batches start from zero.


def define(kind: ClassKind, cls: type[Any], model: ServedModel, decorate: Callable[[type[Any]], Any]) -> None:
    """Put `Kind_model` into this module, its hooks before and after the snapshot in that order."""
    name = class_name(kind, model.name)
    hooks = {"prepare": modal.enter(snap=model.modal.snapshot)(cls.prepare), "start": modal.enter()(cls.start)}
    own = {"__module__": __name__, "__qualname__": name, "__doc__": cls.__doc__}
    globals()[name] = decorate(type(name, (cls,), {**own, **hooks}))


def called(model: ServedModel, timeout: int, *, most: int, target: int) -> Callable[[type[Any]], Any]:
    """How a class that is called is deployed: the most calls in a container, and with how many another is started."""
    placement = model.modal
    together = modal.concurrent(max_inputs=most, target_inputs=target)
    deployed = app.cls(**resources(model), timeout=timeout, region=placement.region, routing_region=DEPLOYMENT.region)
    return lambda cls: deployed(together(cls))


for _model in MODELS:
    define(
        "Gate",
        Gate,
        _model,
        app.server(
            **resources(_model, PENSTOCK_SHUTDOWN_GRACE_S=str(max(1, _model.modal.exit_grace_period))),
            port=PORT,
            unauthenticated=DEPLOYMENT.delivery == "direct",
            target_concurrency=_model.modal.target_concurrency,
            max_concurrency=_model.modal.max_concurrency,
            min_containers=_model.modal.min_containers,
            buffer_containers=_model.modal.buffer_containers,
            exit_grace_period=_model.modal.exit_grace_period,
            routing_region=DEPLOYMENT.region,
            compute_region=_model.modal.region,
        ),
    )
    define(
        "Generator",
        Generator,
        _model,
        called(_model, timeout=1 * HOURS, most=_model.modal.max_concurrency, target=_model.modal.target_concurrency),
    )
    define("Worker", Worker, _model, called(_model, timeout=24 * HOURS, most=ORDERS, target=1))


# ## Desk: what needs no GPU
#
# Which models a key may use, and what was used. It holds no model, and shares a small container among all who ask.


@app.cls(
    image=image,
    secrets=[secret],
    env={"PENSTOCK_LOG_LEVEL": "warning"},
    max_containers=1,
    scaledown_window=1 * MINUTES,
    timeout=1 * MINUTES,
    routing_region=DEPLOYMENT.region,
)
@modal.concurrent(max_inputs=100)
class Desk:
    """What direct callers ask about themselves."""

    @modal.enter()
    async def start(self) -> None:
        """At each start."""
        assume_own_role()
        self.desk = await desk.Desk.open(read_settings(DirectSettings))

    @modal.method()
    async def models(self, name: str | None = None, *, api_key: str | None = None) -> dict[str, Any]:
        """The models that the key may use, or one of them, as `GET /v1/models` has it. Raises ApiError."""
        return await self.desk.models(name, api_key=api_key)

    @modal.method()
    async def usage(self, query: dict[str, str], *, api_key: str | None = None) -> dict[str, Any]:
        """What was used and what remains, as `GET /v1/usage` has it. Raises ApiError."""
        return await self.desk.usage(query, api_key=api_key)

    @modal.exit()
    async def stop(self) -> None:
        """After the last call."""
        await self.desk.close()


# ## Weights
#
# `penstock weights pull MODEL` calls this: one download of the pinned commit, resumed where one was interrupted,
# its checksums compared, into the Volume that every container reads.


@app.function(
    image=image,
    volumes={WEIGHTS: volume},
    secrets=[modal.Secret.from_name(DEPLOYMENT.hub_secret)] if DEPLOYMENT.hub_secret else [],
    timeout=6 * HOURS,
    max_containers=1,
)
def pull_weights(model: str) -> Iterator[Progress]:
    """Fetch one model's weights; yields how far it is. Raises WeightsError.

    `model` is a ServedModel as JSON, from the operator's table and not from the one that is deployed: so the weights
    of a new revision are there before the deployment that serves it.
    """
    try:
        yield from Weights(Path(WEIGHTS)).pull(ServedModel.model_validate_json(model))
    finally:
        volume.commit()  # also half of a download, which the next one goes on with
