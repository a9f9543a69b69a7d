"""The RPCs by which functions and classes are defined, looked up and bound to parameters.

All calls go by way of the control plane, as they do for a function that asks for no input plane: its handle
names none.
"""

from modal_proto import api_pb2 as pb

from tests.control_plane.definition import Definition
from tests.control_plane.front import Front
from tests.control_plane.protobuf import Message
from tests.control_plane.registry import App, Registry
from tests.control_plane.rpc import Refusal

MAX_OBJECT, MAX_ASYNC_OBJECT = 2 * 2**20, 8 * 2**10  # bytes; beyond them it is a blob
NO_PARAMETERS = (b"", b"\x80\x04\x95\x05\x00\x00\x00\x00\x00\x00\x00)}\x94\x86\x94.")  # the latter is ((), {})


class FunctionService:
    """Definitions as clients send and ask for them."""

    def __init__(self, registry: Registry, front: Front) -> None:
        self._registry = registry
        self._front = front
        self._begun: dict[tuple[str, str], str] = {}  # app and name of those that are being created

    def layout(self, app: App) -> pb.AppLayout:
        """The app's objects, as a client or a container hydrates them."""
        ids = {*app.functions.values(), *app.classes.values()}
        for function_id in app.functions.values():
            dependencies = self._registry.definition(function_id).function.object_dependencies
            ids |= {dependency.object_id for dependency in dependencies}
        objects = [self._object(object_id) for object_id in sorted(ids)]
        return pb.AppLayout(function_ids=app.functions, class_ids=app.classes, objects=objects)

    async def open_servers(self, app: App) -> None:
        """Serve each server of the app at a URL of its own."""
        for function_id in app.functions.values():
            if self._registry.definition(function_id).function.is_server:
                await self._front.open(function_id)

    async def function_precreate(self, request: pb.FunctionPrecreateRequest) -> pb.FunctionPrecreateResponse:
        """Give an id to a function whose definition is to come."""
        key = (request.app_id, request.function_name)
        function_id = request.existing_function_id or self._begun.get(key) or self._registry.ids.new("fu")
        self._begun[key] = function_id
        function = pb.Function(
            function_name=request.function_name,
            function_type=request.function_type,
            method_definitions=request.method_definitions,
            function_schema=request.function_schema,
            supported_input_formats=request.supported_input_formats,
            supported_output_formats=request.supported_output_formats,
        )
        metadata = self._metadata(_definition(function_id, request.app_id, function, None))
        return pb.FunctionPrecreateResponse(function_id=function_id, handle_metadata=metadata)

    async def function_create(self, request: pb.FunctionCreateRequest) -> pb.FunctionCreateResponse:
        """Stage a definition."""
        data = request.function_data if request.HasField("function_data") else None
        function = data.ranked_functions[0].function if data else request.function
        key = (request.app_id, function.function_name)
        function_id = request.existing_function_id or self._begun.get(key) or self._registry.ids.new("fu")
        if function.webhook_config.type:
            raise Refusal.invalid("the control plane of the tests serves no web functions; modal.Server it does")
        definition = _definition(function_id, request.app_id, function, data)
        self._registry.stage(definition)
        if function.is_server:
            await self._front.open(function_id)
        return pb.FunctionCreateResponse(
            function_id=function_id,
            function=function,
            function_data=definition.data,
            handle_metadata=self._metadata(definition),
        )

    async def function_get(self, request: pb.FunctionGetRequest) -> pb.FunctionGetResponse:
        """By name. The function of a class is `Class.*`."""
        definition = self._registry.definition(self._registry.find(request.app_name, request.object_tag))
        return pb.FunctionGetResponse(
            function_id=definition.function_id, handle_metadata=self._metadata(definition), function=definition.data
        )

    async def function_get_by_id(self, request: pb.FunctionGetByIdRequest) -> pb.FunctionGetByIdResponse:
        """By id."""
        definition = self._registry.definition(request.function_id)
        return pb.FunctionGetByIdResponse(function=definition.data, handle_metadata=self._metadata(definition))

    async def function_bind_params(self, request: pb.FunctionBindParamsRequest) -> pb.FunctionBindParamsResponse:
        """A variant, or the function itself where there are neither parameters nor options."""
        plain = request.serialized_params in NO_PARAMETERS and not request.HasField("function_options")
        definition = self._registry.definition(request.function_id)
        if not plain or definition.function.class_parameter_info.schema:
            bound = self._registry.bind(request.function_id, request.serialized_params, request.function_options)
            definition = self._registry.definition(bound)
        return pb.FunctionBindParamsResponse(
            bound_function_id=definition.function_id, handle_metadata=self._metadata(definition)
        )

    async def class_create(self, request: pb.ClassCreateRequest) -> pb.ClassCreateResponse:
        """A class is a name for its function."""
        class_id = request.existing_class_id or self._registry.ids.new("cs")
        return pb.ClassCreateResponse(class_id=class_id, handle_metadata=pb.ClassHandleMetadata())

    async def class_get(self, request: pb.ClassGetRequest) -> pb.ClassGetResponse:
        """By name."""
        class_id = self._registry.find(request.app_name, request.object_tag, classes=True)
        return pb.ClassGetResponse(class_id=class_id, handle_metadata=pb.ClassHandleMetadata())

    def _object(self, object_id: str) -> pb.Object:
        kind = object_id.partition("-")[0]
        if kind == "fu":
            metadata = self._metadata(self._registry.definition(object_id))
            return pb.Object(object_id=object_id, function_handle_metadata=metadata)
        handles: dict[str, dict[str, Message]] = {
            "cs": {"class_handle_metadata": pb.ClassHandleMetadata()},
            "mo": {"mount_handle_metadata": pb.MountHandleMetadata()},
            "vo": {"volume_metadata": pb.VolumeMetadata(version=pb.VOLUME_FS_VERSION_V2)},
        }
        return pb.Object(object_id=object_id, **handles.get(kind, {}))

    def _metadata(self, definition: Definition) -> pb.FunctionHandleMetadata:
        function = definition.function
        metadata = self._handle(definition, function, is_method=function.is_method)
        metadata.class_parameter_info.CopyFrom(function.class_parameter_info)
        for name, method in function.method_definitions.items():
            handle = self._handle(definition, method, is_method=True)
            handle.use_method_name = name
            metadata.method_handle_metadata[name].CopyFrom(handle)
        if url := self._front.url(definition.function_id):
            metadata._experimental_flash_urls.append(url)
        return metadata

    def _handle(
        self, definition: Definition, function: pb.Function | pb.MethodDefinition, *, is_method: bool
    ) -> pb.FunctionHandleMetadata:
        return pb.FunctionHandleMetadata(
            function_name=function.function_name,
            function_type=function.function_type,
            function_schema=function.function_schema,
            supported_input_formats=function.supported_input_formats,
            supported_output_formats=function.supported_output_formats,
            is_method=is_method,
            app_id=definition.app_id,
            base_function_id=self._registry.base(definition.function_id),
            definition_id=f"de-{definition.function_id[3:]}",
            max_object_size_bytes=MAX_OBJECT,
            max_async_object_size_bytes=MAX_ASYNC_OBJECT,
        )


def _definition(function_id: str, app_id: str, function: pb.Function, data: pb.FunctionData | None) -> Definition:
    if data is None:
        ranked = pb.FunctionData.RankedFunction(rank=0, function=function)
        data = pb.FunctionData(
            module_name=function.module_name,
            function_name=function.function_name,
            function_type=function.function_type,
            is_class=function.is_class,
            is_server=function.is_server,
            is_method=function.is_method,
            autoscaler_settings=function.autoscaler_settings,
            timeout_secs=function.timeout_secs,
            startup_timeout_secs=function.startup_timeout_secs,
            http_config=function.http_config if function.HasField("http_config") else None,
            ranked_functions=[ranked],
        )
    return Definition(function_id, app_id, function, data)
