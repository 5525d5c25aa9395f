"""What an optimiser updates, sooner: a block at a time on the host, so that its passes stay in the
cache; all parameters end to end on a GPU, so that one update is one kernel."""

import numpy as np

from ..backend import xp
from . import kernels

BLOCK = 1 << 15  # elements, 128 KB: on Adam this saves half of the time
FLUSH_EVERY = 64
TINY = 1e-30
ALIGN = 64  # on a GPU each array begins at a multiple of so many numbers, as if it were on its own


def arrays_to_update(optimizer):
    """For each parameter p, number i, that has a gradient:  yield i, [p.data, p.grad, *p's state],
    and count that it was updated. Raises ValueError, before any, for a gradient of another shape
    than its parameter's."""
    graded = [(i, p) for i, p in enumerate(optimizer.parameters) if p.grad is not None]
    for _, p in graded:
        if p.grad.shape != p.shape:
            raise ValueError(f"optimiser: a gradient of shape {p.grad.shape} for a parameter of "
                             f"shape {p.shape}")
    for i, p in graded:
        optimizer.steps[i] += 1
        p.version += 1
    flat = flat_of(optimizer)
    if flat and len(set(optimizer.steps)) == 1 and (together := flat.arrays_together()):
        yield 0, together
        return
    shards = getattr(optimizer, "shards", None)
    for i, p in graded:
        if not p.data.flags.c_contiguous:
            p.data = xp.ascontiguousarray(p.data)
        arrays = [p.data, p.grad, *(arrays[i] for arrays in optimizer.state.values())]
        for block in in_blocks(arrays, shards[i] if shards else slice(None)):
            yield i, block


def in_blocks(arrays, shard):
    """yield [a.reshape(-1)[shard] for a in arrays]: flat views of C-contiguous arrays of one size,
    on the host cut into blocks. shard: a slice, that which this process of a group updates."""
    flat = [a.reshape(-1)[shard] for a in arrays]
    step = BLOCK if isinstance(flat[0], np.ndarray) else max(1, len(flat[0]))
    for start in range(0, len(flat[0]), step):
        yield [a[start:start + step] for a in flat]


def adam_in_place(p, g, m, v, lr, b1, rest1, b2, rest2, c1, c2, eps):
    """optim.adam_step(p, g, m, v, lr, b1, rest1, b2, rest2, c1, c2, eps), an operation at a
    time, in one scratch array, with both corrections in two numbers. On the host; 3 % of a step of
    the small VAE."""
    root = c2 ** 0.5  # m / (sqrt(v / c2) + eps) = root m / (sqrt(v) + root eps)
    a = rest1 * g
    m *= b1
    m += a
    np.multiply(g, g, out=a)
    a *= rest2
    v *= b2
    v += a
    np.sqrt(v, out=a)
    a += root * eps
    np.divide(m, a, out=a)
    a *= root * lr / c1
    p -= a


def flush_tiny(arrays, t):
    """Nothing. (On the host, at every 64th step t, numbers below 1e-30 become 0.)

    Where a gradient stays 0 (a border pixel of MNIST), its running mean decays into subnormal
    numbers, on which a CPU is 100 times slower: after 2,000 steps of the VAE, Adam took 3.5 ms
    instead of 1.5. Below 1e-30 neither m nor sqrt(v), 1e-15, matters beside an eps of 1e-12; for a
    smaller one Adam does not call this.
    """
    if t % FLUSH_EVERY == 0 and isinstance(arrays[0], np.ndarray):
        for a in arrays:
            a[xp.abs(a) < TINY] = 0


# ---------------------------------------------------------------- on a GPU

def flat_of(optimizer):
    """On a GPU the Flat of an optimiser, made once, if its arrays are of one dtype; else None."""
    if isinstance(optimizer.parameters[0].data, np.ndarray):
        return None
    if not hasattr(optimizer, "flat"):
        one = len({p.dtype for p in optimizer.parameters}) == 1
        optimizer.flat = Flat(optimizer.parameters, optimizer.state) if one else None
    return optimizer.flat


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

    def arrays_together(self):
        """[p, g, *state] of all of them end to end; None if one has no gradient, or other memory
        than it was given."""
        if any(p.grad is None or p.data is not view
               for p, view in zip(self.parameters, self.views, strict=True)):
            return None
        return [self.arrays[0], self.pack([p.grad for p in self.parameters]), *self.arrays[1:]]
