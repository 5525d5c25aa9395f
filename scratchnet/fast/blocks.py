"""Elementwise updates of large arrays, a block at a time: the passes over one block stay in the
cache. On Adam this saves half of the time."""

import numpy as np

from ..backend import xp

BLOCK = 1 << 15  # elements: 128 KB
FLUSH_EVERY = 64
TINY = 1e-30


def in_blocks(arrays, part=slice(None)):
    """yield [a.reshape(-1)[part] for a in arrays]: flat views of C-contiguous arrays of one size,
    on the host cut into blocks, so that what is done to each stays in the cache."""
    flat = [a.reshape(-1)[part] for a in arrays]
    step = BLOCK if isinstance(flat[0], np.ndarray) else max(1, len(flat[0]))
    for start in range(0, len(flat[0]), step):
        yield [a[start:start + step] for a in flat]


def adam_in_place(p, g, m, v, lr, b1, rest1, b2, rest2, c1, c2, eps):
    """optim.adam_step(p, g, m, v, lr, b1, rest1, b2, rest2, c1, c2, eps), an operation at a
    time, in one passing array, with both corrections in two numbers. On the host; 3 % of a step of
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
    """Set numbers below 1e-30 to 0, at every 64th step t, on the host.

    Where a gradient stays 0 (a border pixel of MNIST), its running mean decays into subnormal
    numbers, on which a CPU is 100 times slower: after 2,000 steps of the VAE, Adam took 3.5 ms
    instead of 1.5. Below 1e-30 neither m nor sqrt(v) matters beside eps.
    """
    if t % FLUSH_EVERY == 0 and isinstance(arrays[0], np.ndarray):
        for a in arrays:
            a[xp.abs(a) < TINY] = 0
