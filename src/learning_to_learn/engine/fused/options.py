"""The options with which numba compiles everything of the engine."""

OPTIONS = {"nogil": True, "error_model": "numpy", "boundscheck": False}
CACHED = OPTIONS | {"cache": True}
BY_ADDRESS = CACHED | {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
"""For what is called by its address alone: nobody needs a way in from Python, which takes time to compile."""
