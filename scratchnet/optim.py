"""Optimisers in order of increasing complexity, learning-rate schedules, clipping.

An optimiser changes `p.data` in place from `p.grad`. Its `lr` may be set before
each step; a schedule is a plain function of the step number, so a resumed run
needs nothing but that number.
"""

import contextlib
import math

import numpy as np

from .backend import fused, to_numpy, xp

BLOCK = 32768  # elements; 128 KB: the ten passes of one block stay in the cache, 2.3x on Adam


class Optimizer:
    """What SGD and Adam share: the parameters, the state by name, zero_grad.

    Raises ValueError for no parameters or a negative learning rate.
    """

    slots = ()  # names of the state arrays, one of each for each parameter

    def __init__(self, parameters, lr):
        self.parameters = list(parameters)
        if not self.parameters:
            raise ValueError("optimiser: no parameters to train")
        if not lr >= 0:
            raise ValueError(f"optimiser: lr must be 0 or more, not {lr}")
        for p in self.parameters:
            p.data = xp.ascontiguousarray(p.data)  # updated in place, through a flat view
        self.lr, self.step_count = lr, 0
        self.state = {name: [xp.zeros_like(p.data) for p in self.parameters] for name in self.slots}
        self.take_share(0, 1)

    def zero_grad(self):
        """Forget the gradients."""
        for p in self.parameters:
            p.grad = None

    def step(self):
        """One update of every parameter that has a gradient."""
        self.step_count += 1
        for i, part in self.own:
            p = self.parameters[i]
            if p.grad is None:
                continue
            arrays = [p.data, p.grad] + [self.state[name][i] for name in self.slots]
            flat = [a.reshape(-1)[part] for a in arrays]
            size = BLOCK if isinstance(p.data, np.ndarray) else p.size  # a GPU wants one kernel
            for start in range(0, len(flat[0]), size):
                self.update(*(a[start:start + size] for a in flat))

    # ------------------------------------------------------------ shared by processes

    def share(self, rank, size):
        """[(number of the parameter, slice of it, flattened), ...]: the part of all parameters
        that process `rank` of `size` updates."""
        total = sum(p.size for p in self.parameters)
        low, high = total * rank // size, total * (rank + 1) // size
        pieces, start = [], 0
        for i, p in enumerate(self.parameters):
            part = slice(max(0, low - start), min(p.size, high - start))
            if part.start < part.stop:
                pieces.append((i, part))
            start += p.size
        return pieces

    def take_share(self, rank, size):
        """From now on update only this share; 0 of 1 is everything."""
        self.own = self.share(rank, size)

    def move(self, copy):
        """Replace every array of parameters and state by copy(array)."""
        for p in self.parameters:
            p.data = copy(p.data)
        self.state = {n: [copy(a) for a in arrays] for n, arrays in self.state.items()}

    def state_dict(self):
        """{name: NumPy array}: the step count and every state array, copies on the host."""
        state = {"step_count": np.array(self.step_count)}
        for name, arrays in self.state.items():
            state.update({f"{name}.{i}": np.array(to_numpy(a)) for i, a in enumerate(arrays)})
        return state

    def load_state_dict(self, state):
        """Copy a state_dict in. Raises ValueError if a name or shape does not fit."""
        own = {f"{n}.{i}": a for n, arrays in self.state.items() for i, a in enumerate(arrays)}
        wrong = sorted(set(own) ^ (set(state) - {"step_count"})) + [
            n for n, a in own.items() if n in state and state[n].shape != a.shape]
        if wrong or "step_count" not in state:
            raise ValueError(f"state does not fit {type(self).__name__}: {', '.join(wrong[:6])}")
        self.step_count = int(state["step_count"])
        for name, array in own.items():
            array[...] = xp.asarray(state[name])


class SGD(Optimizer):
    """Stochastic gradient descent with momentum and weight decay.

        g <- dL/dp + weight_decay p
        u <- momentum u + g
        p <- p - lr u
    """

    slots = ("u",)

    def __init__(self, parameters, lr, momentum=0.0, weight_decay=0.0):
        super().__init__(parameters, lr)
        self.momentum, self.weight_decay = momentum, weight_decay

    def update(self, p, g, u):
        u *= self.momentum
        u += g
        if self.weight_decay:
            u += self.weight_decay * p
        p -= self.lr * u


class Adam(Optimizer):
    """Adam, Kingma & Ba 2014 (1412.6980), algorithm 1.

        m <- b1 m + (1 - b1) g                running mean of the gradient
        v <- b2 v + (1 - b2) g^2              running mean of its square
        m_hat = m / (1 - b1^t),  v_hat = v / (1 - b2^t)       both began at 0
        p <- p - lr m_hat / (sqrt(v_hat) + eps)

    average: d above 0 also keeps running means of the parameters,

        a <- d' a + (1 - d') p,    d' = min(d, (1 + t) / (10 + t)): over few steps at first

    which jump about less than the parameters themselves, and are what to evaluate and to keep
    (Polyak & Juditsky 1992): see `averaged`. Raises ValueError for an average outside [0, 1).
    """

    slots = ("m", "v")

    def __init__(self, parameters, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, average=0.0):
        if not 0 <= average < 1:
            raise ValueError(f"Adam: average must be 0 or more and below 1, not {average}")
        if average:
            self.slots = ("m", "v", "average")
        super().__init__(parameters, lr)
        self.betas, self.eps, self.average = betas, eps, average
        for p, a in zip(self.parameters, self.state.get("average", []), strict=False):
            a[...] = p.data

    @contextlib.contextmanager
    def averaged(self):
        """Within `with optimizer.averaged():` the parameters are their running means, if kept."""
        def swap():
            averages = self.state.get("average", [])
            for i, (p, a) in enumerate(zip(self.parameters, averages, strict=False)):
                p.data, averages[i] = a, p.data
        swap()
        try:
            yield
        finally:
            swap()

    def update(self, p, g, m, v, average=None):
        (b1, b2), t = self.betas, self.step_count
        # lr m_hat / (sqrt(v_hat) + eps), with both bias corrections moved into two numbers
        correction = (1 - b2 ** t) ** 0.5
        adam_step(p, g, m, v, b1, 1 - b1, b2, 1 - b2, self.eps * correction,
                  self.lr * correction / (1 - b1 ** t))
        if average is not None:
            move_average(average, p, 1 - min(self.average, (1 + t) / (10 + t)))
        # Where the gradient stays 0 (a border pixel of MNIST), m decays into subnormal numbers,
        # on which a CPU is 100 times slower: after 2,000 steps of the VAE, Adam took 3.5 ms
        # instead of 1.5. Below 1e-30 neither m nor sqrt(v) matters beside eps.
        if t % 64 == 0 and isinstance(p, np.ndarray):
            m[xp.abs(m) < 1e-30] = 0
            v[v < 1e-30] = 0


@fused
def adam_step(p, g, m, v, b1, one_minus_b1, b2, one_minus_b2, eps, lr):
    """m, v, p <- as in Adam, in place; eps and lr with the bias corrections in them."""
    scratch = g * one_minus_b1
    m *= b1
    m += scratch
    xp.multiply(g, g, out=scratch)
    scratch *= one_minus_b2
    v *= b2
    v += scratch
    xp.sqrt(v, out=scratch)
    scratch += eps
    xp.divide(m, scratch, out=scratch)
    scratch *= lr
    p -= scratch


@fused
def move_average(a, p, share):
    """a <- a + share (p - a), in place."""
    scratch = p - a
    scratch *= share
    a += scratch


# ---------------------------------------------------------------- schedules: step -> lr

def constant(lr, total_steps):
    """The same lr at every step."""
    return lambda step: lr


def cosine(lr, total_steps, warmup=0.02, final=0.01):
    """Up in a straight line over the first `warmup` share of the steps, then down half a
    cosine to `final` * lr. Loshchilov & Hutter 2016 (1608.03983), eq. 5, without restarts."""
    rise = max(1, round(warmup * total_steps))
    def at(step):
        if step < rise:
            return lr * (step + 1) / rise
        done = min(1.0, (step - rise) / max(1, total_steps - rise))
        return lr * (final + (1 - final) * (1 + math.cos(math.pi * done)) / 2)
    return at


def cooldown(lr, total_steps, share=0.2):
    """The same lr until the last `share` of the steps, then down to 0 in a straight line: most of
    the speed of a high rate, and most of the gain of a falling one. Hagele et al. 2024
    (2405.18392), section 3."""
    return lambda step: lr * min(1.0, (total_steps - step) / (share * total_steps))


def exponential(lr, total_steps, final=0.01):
    """lr * final^(step / total_steps): the same factor at every step, `final` * lr at the end."""
    return lambda step: lr * final ** (step / total_steps)


SCHEDULES = {"constant": constant, "cooldown": cooldown, "cosine": cosine,
             "exponential": exponential}


def clip_grad_norm(parameters, max_norm):
    """Scale all gradients by min(1, max_norm / norm); returns the norm before, an array.

    norm = sqrt(sum of squares over all gradients together). Pascanu et al. 2013 (1211.5063).
    """
    graded = [p for p in parameters if p.grad is not None]
    norm = xp.sqrt(sum((p.grad * p.grad).sum() for p in graded))
    scale = xp.minimum(1, max_norm / (norm + 1e-12))
    for p in graded:
        p.grad = p.grad * scale
    return norm
