"""On a GPU: all parameters in one array, so that one update of an optimiser is one kernel, not one
for each of a hundred small arrays."""

import numpy as np

from ..backend import xp
from . import kernels

ALIGN = 64  # each array begins at a multiple of so many numbers, as if it were on its own


class Flat:
    """Parameters (Tensors) and state {name: [an array for each]}, moved into one array for each
    kind. p.data and the state's arrays are views of these from then on."""

    def __init__(self, parameters, state):
        self.parameters = parameters
        places = np.cumsum([0, *(-(-p.size // ALIGN) * ALIGN for p in parameters)]).tolist()
        self.pack = kernels.Packer([p.size for p in parameters], places, parameters[0].dtype)
        def moved(arrays):
            flat = xp.zeros(places[-1], parameters[0].dtype)
            views = []
            for a, start in zip(arrays, places, strict=False):
                views.append(flat[start:start + a.size].reshape(a.shape))
                views[-1][...] = a
            return flat, views
        data, self.views = moved([p.data for p in parameters])
        for p, view in zip(parameters, self.views, strict=True):
            p._data = view  # the same numbers: its version stays
        self.arrays = [data]
        for name, arrays in state.items():
            flat, state[name] = moved(arrays)
            self.arrays.append(flat)

    def blocks(self):
        """[p, g, *state] of all of them end to end; None if one has no gradient, or other memory
        than it was given."""
        if any(p.grad is None or p.data is not view
               for p, view in zip(self.parameters, self.views, strict=True)):
            return None
        return [self.arrays[0], self.pack([p.grad for p in self.parameters]), *self.arrays[1:]]


def flat(parameters, state):
    """A Flat of these on a GPU, if they are of one dtype; None on the host."""
    if isinstance(parameters[0].data, np.ndarray) or len({p.dtype for p in parameters}) > 1:
        return None
    return Flat(parameters, state)
