"""Marks a function that may be compiled: with numba where it is installed, as it stands where not.

It promises the same answers either way: what is marked uses whole numbers and plain IEEE sums, no
mathematics library and no chance but the seed that it is given.
"""

from collections.abc import Callable, Iterable
from importlib.util import find_spec
from typing import Any, Final, TypeVar, cast

Kernel = TypeVar("Kernel", bound=Callable[..., Any])
AtOnce = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]
"""A `map` whose calls may run at once, such as a pool of threads has; `map` itself will do."""

IS_COMPILED: Final = find_spec("numba") is not None


def compiled(kernel: Kernel) -> Kernel:
    """Kept on the disk after the first time; `py_func` is the plain function, where compiled."""
    if not IS_COMPILED:
        return kernel
    import numba

    return cast("Kernel", numba.njit(cache=True, nogil=True)(kernel))


def inlined(kernel: Kernel) -> Kernel:
    """As `compiled`, and written out where it is called: for what is asked millions of times."""
    if not IS_COMPILED:
        return kernel
    import numba

    return cast("Kernel", numba.njit(cache=True, nogil=True, inline="always")(kernel))
