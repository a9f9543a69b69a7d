"""A function as it is deployed: what Modal calls a class is one function, and so is a server.

With other parameters or options it is another function (a variant) with containers of its own.
"""

from dataclasses import dataclass
from typing import Any

from modal_proto import api_pb2 as pb

from tests.control_plane.protobuf import Message, MessageToDict

SCALEDOWN_WINDOW_S = 60  # Modal's own, where the definition says nothing
MAX_CONTAINERS = 16  # of one pool, where the definition says nothing


@dataclass(frozen=True, slots=True)
class Definition:
    """One version of a function. `data` is the message where the definition has several GPUs to fall back on."""

    function_id: str
    app_id: str
    function: pb.Function
    data: pb.FunctionData
    parameters: bytes = b""

    @property
    def name(self) -> str:
        """`Class.*` for a class."""
        return self.function.function_name

    @property
    def min_containers(self) -> int:
        """How many there are without any work."""
        return self.function.autoscaler_settings.min_containers

    @property
    def max_containers(self) -> int:
        """How many there may be."""
        return self.function.autoscaler_settings.max_containers or MAX_CONTAINERS

    @property
    def buffer_containers(self) -> int:
        """How many more than the work needs there are, while there is work."""
        return self.function.autoscaler_settings.buffer_containers

    @property
    def scaledown_window_s(self) -> int:
        """How long a container may be idle."""
        return self.function.autoscaler_settings.scaledown_window or SCALEDOWN_WINDOW_S

    @property
    def max_inputs(self) -> int:
        """How many a container takes at most. 0 for a server without a limit."""
        return self.function.max_concurrent_inputs or (0 if self.function.is_server else 1)

    @property
    def target_inputs(self) -> float:
        """For how many inputs or requests there is to be one container. 0 for a server without a target."""
        settings = self.function.autoscaler_settings
        target = settings.target_concurrency_float or settings.target_concurrency
        return target or self.function.target_concurrent_inputs or self.max_inputs

    @property
    def gpus(self) -> list[str]:
        """`H100` or `H100:2`, in the order in which they are tried."""
        ranked = sorted(self.data.ranked_functions, key=lambda each: each.rank)
        configs = [each.function.resources.gpu_config for each in ranked]
        named = [config for config in configs if config.gpu_type]
        return [f"{config.gpu_type}:{config.count}" if config.count > 1 else config.gpu_type for config in named]

    def with_options(self, function_id: str, parameters: bytes, options: pb.FunctionOptions) -> "Definition":
        """The variant with other parameters, or with what `Cls.with_options` and its like have said."""
        function = pb.Function()
        function.CopyFrom(self.function)
        _apply(options, function)
        data = pb.FunctionData()
        data.CopyFrom(self.data)
        if options.HasField("resources"):
            del data.ranked_functions[:]
            data.ranked_functions.add(rank=0, function=function)
        return Definition(function_id, self.app_id, function, data, parameters)


# An option and the definition's own field; those of the autoscaler are `scaling`.
_FIELDS = (
    "timeout_secs",
    "target_concurrent_inputs",
    "max_concurrent_inputs",
    "batch_max_size",
    "batch_linger_ms",
    "cloud_provider_str",
    "routing_region",
)
_MESSAGES = ("resources", "retry_policy", "scheduler_placement")
_SCALING = {
    "concurrency_limit": "max_containers",
    "warm_pool_size": "min_containers",
    "buffer_containers": "buffer_containers",
    "task_idle_timeout_secs": "scaledown_window",
}


def _apply(options: pb.FunctionOptions, function: pb.Function) -> None:
    given = {field.name for field, _ in options.ListFields()}
    for name in given.intersection(_FIELDS):
        setattr(function, name, getattr(options, name))
    for name in given.intersection(_MESSAGES):
        getattr(function, name).CopyFrom(getattr(options, name))
    for name, own in _SCALING.items():
        if name in given:
            setattr(function.autoscaler_settings, own, getattr(options, name))
    if options.replace_volume_mounts:
        del function.volume_mounts[:]
    if options.replace_secret_ids:
        del function.secret_ids[:]
    function.volume_mounts.extend(options.volume_mounts)
    function.secret_ids.extend(options.secret_ids)
    function.mount_ids.extend(options.mount_ids)


def as_dict(message: Message) -> dict[str, Any]:
    """A message as JSON has it, with the fields' own names."""
    fields: dict[str, Any] = MessageToDict(message, preserving_proto_field_name=True)
    return fields
