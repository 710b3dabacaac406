"""The options with which numba compiles everything of the engine."""

OPTIONS = {"nogil": True, "error_model": "numpy", "boundscheck": False}
CACHED = OPTIONS | {"cache": True}
