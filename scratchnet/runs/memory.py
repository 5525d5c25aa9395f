"""How much memory there is, and a refusal in time: one line instead of the system's killer."""

import contextlib
import math
import os
from pathlib import Path

import numpy as np

from ..errors import RunError

OBJECTS = 10_000  # bytes of a layer, beside its weights


def available():
    """Bytes of the computer's memory that can still be had, as far as the system tells."""
    found = [math.inf]
    with contextlib.suppress(OSError, ValueError, AttributeError):
        found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    with contextlib.suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = next(line for line in lines if line.startswith("MemAvailable:"))
        found.append(1024 * int(free.split()[1]))
    with contextlib.suppress(OSError, ValueError):  # a container's limit, or "max"
        found.append(int(Path("/sys/fs/cgroup/memory.max").read_text()))
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource
        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        found.append(limit if limit != resource.RLIM_INFINITY else math.inf)
    return min(found)


def check_memory(what, needed, instead):
    """Raise RunError if so many bytes cannot be had: what needs them, and what to do instead."""
    there = available()
    if needed > there:
        raise RunError(f"{what} {in_words(needed)} of memory, but there are {in_words(there)}; "
                       f"{instead}")


def in_words(size):
    """3.2 GB; of what no computer has, the power of ten."""
    return f"{size / 1e9:,.1f} GB" if size < 1e15 else f"1e{len(str(size)) - 10} GB"


class Weighed(np.random.Generator):
    """rng, for the weights of a model, which asks for the memory that they need before it draws.
    each: bytes for a weight."""

    def __init__(self, rng, each):
        super().__init__(rng.bit_generator)
        self.each, self.count, self.layers = each, 0, 0

    def weigh(self, shape):
        self.count += math.prod(shape)
        self.layers += 1
        check_memory(f"the first {self.count:,} weights of this model need",
                     self.each * self.count + OBJECTS * self.layers, "choose smaller sizes")
        return shape

    def uniform(self, low, high, size):
        return super().uniform(low, high, self.weigh(size))

    def normal(self, loc, scale, size):
        return super().normal(loc, scale, self.weigh(size))

    def standard_normal(self, size):
        return super().standard_normal(self.weigh(size))
