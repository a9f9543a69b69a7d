"""Who works shards off: containers on Modal, or processes of this machine."""

from functions.batch.workers.protocol import CallState, Workers, WorkersBroken, WorkersUnavailable

__all__ = ["CallState", "Workers", "WorkersBroken", "WorkersUnavailable"]
