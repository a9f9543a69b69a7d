"""What the control plane knows, as JSON: for the tests that look at it. See README.md for its form."""

from typing import Any

from modal_proto import api_pb2 as pb

from tests.control_plane.container import Container
from tests.control_plane.definition import Definition, as_dict
from tests.control_plane.images import Images
from tests.control_plane.pool import Pool
from tests.control_plane.secrets import Secrets
from tests.control_plane.volumes import Volumes

Json = dict[str, Any]


class Describe:
    """Says in words what the messages hold by id."""

    def __init__(self, images: Images, secrets: Secrets, volumes: Volumes) -> None:
        self._images = images
        self._secrets = secrets
        self._volumes = volumes

    def definition(self, definition: Definition, url: str | None) -> Json:
        """One function."""
        function = definition.function
        return {
            "id": definition.function_id,
            "name": definition.name,
            "is_class": function.is_class,
            "is_server": function.is_server,
            "methods": sorted(function.method_definitions),
            "parameters": [parameter.name for parameter in function.class_parameter_info.schema],
            "gpus": definition.gpus,
            "cpu_milli": function.resources.milli_cpu,
            "memory_mib": function.resources.memory_mb,
            "regions": list(function.scheduler_placement.regions),
            "nonpreemptible": function.scheduler_placement.nonpreemptible,
            "image": [self._image(image) for image in self._images.chain(function.image_id)],
            "mounts": {mount_id: self._images.mount_files(mount_id) for mount_id in function.mount_ids},
            "volumes": {mount.mount_path: self._volume(mount) for mount in function.volume_mounts},
            "secrets": [self._secrets.name(secret_id) for secret_id in function.secret_ids],
            "secret_keys": sorted({key for i in function.secret_ids for key in self._secrets.values(i)}),
            "max_inputs": definition.max_inputs,
            "target_inputs": definition.target_inputs,
            "min_containers": definition.min_containers,
            "max_containers": function.autoscaler_settings.max_containers,
            "buffer_containers": definition.buffer_containers,
            "scaledown_window_s": function.autoscaler_settings.scaledown_window,
            "timeout_s": function.timeout_secs,
            "startup_timeout_s": function.startup_timeout_secs,
            "enable_memory_snapshot": function.checkpointing_enabled,
            "experimental_options": dict(function.experimental_options),
            "retries": function.retry_policy.retries,
            "http": _http(function) if function.HasField("http_config") else None,
            "url": url,
        }

    def container(self, container: Container) -> Json:
        """One container."""
        return {
            "id": container.id,
            "function": container.definition.name,
            "function_id": container.definition.function_id,
            "app_id": container.definition.app_id,
            "state": str(container.state),
            "pid": container.pid,
            "started_at": container.started_at,
            "startup_s": container.ready_at - container.started_at if container.ready_at else None,
            "exit_code": container.exit_code,
            "inputs": sorted(container.running),
            "requests": container.requests,
            "log": str(container.log.resolve()),
        }

    def pool(self, pool: Pool) -> Json:
        """What waits for a function."""
        return {"function": pool.definition.name, "queued": pool.queued, "containers": list(pool.containers)}

    def _image(self, image: pb.Image) -> Json:
        context = self._images.mount_files(image.context_mount_id) if image.context_mount_id else []
        return {
            "commands": list(image.dockerfile_commands),
            "context": context,
            "gpu": image.gpu_config.gpu_type,
            "build_function": as_dict(image.build_function),
        }

    def _volume(self, mount: pb.VolumeMount) -> Json:
        name = self._volumes.name(mount.volume_id)
        return {"name": name, "read_only": mount.read_only, "sub_path": mount.sub_path or None}


def _http(function: pb.Function) -> Json:
    config = function.http_config
    return {
        "port": config.port,
        "unauthenticated": config.unauthenticated,
        "startup_timeout_s": config.startup_timeout,
        "exit_grace_period_s": config.exit_grace_period,
        "proxy_regions": list(config.proxy_regions),
        "h2_enabled": config.h2_enabled,
    }
