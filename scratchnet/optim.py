"""Optimisers in order of increasing complexity, learning-rate schedules, clipping.

An optimiser changes `p.data` in place from `p.grad`. Its `lr` may be set before
each step; a schedule is a plain function of the step number, so a resumed run
needs nothing but that number. docs/04-adam.md derives Adam and draws the schedules.
"""

import contextlib
import math

import numpy as np

from .backend import fused, to_numpy, xp
from .fast.update import adam_in_place, arrays_to_update, flush_tiny
from .inputs import load_arrays, require
from .tensor import Tensor


class Optimizer:
    """What SGD and Adam share: the parameters, the state by name, the walk over both.

    Subclasses define update(t, p, g, *state), which changes the arrays p and state in place; t
    counts the updates of this parameter, from 1. Raises ValueError for a negative lr, and unless
    the parameters are leaves that need a gradient, one or more.
    """

    slots = ()  # names of the state arrays, one of each for each parameter

    def __init__(self, parameters, lr):
        self.parameters = list(dict.fromkeys(parameters))  # one that comes twice is updated once
        require(self.parameters, "optimiser: no parameters to train")
        require(all(isinstance(p, Tensor) and p.requires_grad and p.node is None
                    for p in self.parameters), "optimiser: parameters must be leaves that need a "
                "gradient: model.parameters(), or a list such as [w]")
        require(lr >= 0, f"optimiser: lr must be 0 or more, not {lr}")
        self.lr = lr
        self.steps = [0] * len(self.parameters)  # updates so far, of each
        self.state = {name: [xp.zeros_like(p.data, order="C") for p in self.parameters]
                      for name in self.slots}
        self.is_averaged = False

    def zero_grad(self):
        """Forget the gradients."""
        for p in self.parameters:
            p.grad = None

    def step(self):
        """One update of every parameter that has a gradient. Raises ValueError for a gradient of
        another shape than its parameter's, RuntimeError within averaged()."""
        self.check_not_averaged("step")
        for i, arrays in arrays_to_update(self):
            self.update(self.steps[i], *arrays)

    def check_not_averaged(self, what):
        if self.is_averaged:
            raise RuntimeError(f"{what}() within averaged(): the parameters are their running "
                               f"means there; call it outside")

    def state_dict(self):
        """{name: NumPy array}: the step counts and every state array, copies on the host. Raises
        RuntimeError within averaged()."""
        self.check_not_averaged("state_dict")
        return {"steps": np.array(self.steps)} | {
            name: np.array(to_numpy(a)) for name, a in self.named_state().items()}

    def load_state_dict(self, state):
        """Copy a state_dict in. Raises ValueError if a name or shape does not fit, RuntimeError
        within averaged()."""
        self.check_not_averaged("load_state_dict")
        steps = xp.zeros(len(self.steps), np.int64)
        load_arrays(type(self).__name__, {"steps": steps} | self.named_state(), state)
        self.steps = steps.tolist()

    def named_state(self):
        """{"m.0": array, "m.1": array, ...}"""
        return {f"{n}.{i}": a for n, arrays in self.state.items() for i, a in enumerate(arrays)}


class SGD(Optimizer):
    """Stochastic gradient descent with momentum and weight decay.

        g <- dL/dp + weight_decay p
        u <- momentum u + g
        p <- p - lr u

    Raises ValueError for a momentum outside [0, 1) or a weight_decay below 0. Source: Polyak 1964.
    """

    slots = ("u",)

    def __init__(self, parameters, lr, momentum=0.0, weight_decay=0.0):
        super().__init__(parameters, lr)
        require(0 <= momentum < 1 and weight_decay >= 0, f"SGD: needs 0 <= momentum < 1 and "
                f"weight_decay >= 0, not {momentum} and {weight_decay}")
        self.momentum, self.weight_decay = momentum, weight_decay

    def update(self, t, p, g, u):
        u *= self.momentum
        u += g + self.weight_decay * p
        p -= self.lr * u


class Adam(Optimizer):
    """Adam, Kingma & Ba 2014 (1412.6980), algorithm 1.

        m <- b1 m + (1 - b1) g                running mean of the gradient
        v <- b2 v + (1 - b2) g^2              running mean of its square
        m_hat = m / (1 - b1^t),  v_hat = v / (1 - b2^t)
        p <- p - lr m_hat / (sqrt(v_hat) + eps)

    Why 1 - b^t. m begins at 0, so after t steps it is a sum of gradients whose weights fall
    backwards in time, m_t = (1 - b) (g_t + b g_(t-1) + ... + b^(t-1) g_1). These weights do not add
    up to 1, as those of a mean should, but to (1 - b) (1 + b + ... + b^(t-1)) = 1 - b^t: at t = 1
    and b = 0.9 only to 0.1. Divided by their sum, they do. docs/04-adam.md has every step of it.

    average: d above 0 also keeps running means of the parameters,

        a <- d' a + (1 - d') p,    d' = min(d, (1 + t) / (10 + t)): over few steps at first

    which jump about less than the parameters themselves, and are what to evaluate and to keep
    (Polyak & Juditsky 1992): see `averaged`. weight_decay: before each step also

        p <- p - lr weight_decay p

    which as a part of g would be divided by sqrt(v_hat) like the rest: the weights with the largest
    gradients would shrink least (AdamW; Loshchilov & Hutter 2017, 1711.05101, algorithm 2, whose
    decay goes with the schedule alone; here, as in PyTorch, with lr). Raises ValueError for betas
    or an average outside [0, 1), for an eps or a weight_decay below 0.
    """

    slots = ("m", "v")

    def __init__(self, parameters, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, average=0.0,
                 weight_decay=0.0):
        require(all(0 <= b < 1 for b in (*betas, average)) and eps >= 0 and weight_decay >= 0,
                f"Adam: betas and average must be 0 or more and below 1, eps 0 or more, "
                f"weight_decay too, not {betas}, {average}, {eps} and {weight_decay}")
        if average:
            self.slots = ("m", "v", "average")
        super().__init__(parameters, lr)
        self.betas, self.eps, self.average, self.weight_decay = betas, eps, average, weight_decay
        for p, a in zip(self.parameters, self.state.get("average", []), strict=False):
            a[...] = p.data

    def update(self, t, p, g, m, v, a=None):
        b1, b2 = self.betas
        if self.weight_decay:
            p *= 1 - self.lr * self.weight_decay
        # Equal to rounding; fast/update.py says why.
        step = adam_in_place if isinstance(p, np.ndarray) else adam_step
        step(p, g, m, v, self.lr, b1, 1 - b1, b2, 1 - b2, 1 - b1 ** t, 1 - b2 ** t, self.eps)
        if self.eps >= 1e-12:  # beside a smaller one they matter
            flush_tiny([m, v], t)
        if a is not None:
            move_average(a, p, 1 - min(self.average, (1 + t) / (10 + t)))

    @contextlib.contextmanager
    def averaged(self):
        """Within `with optimizer.averaged():` the parameters are their running means, if kept; one
        within another changes nothing."""
        averages = self.state.get("average", [])
        if self.is_averaged or not averages:
            yield
            return
        kept = [(p.data, p.version) for p in self.parameters]
        self.is_averaged = True
        for p, a in zip(self.parameters, averages, strict=True):
            p._data, p.version = a, p.version + 0.5  # which no count of steps is
        try:
            yield
        finally:
            self.is_averaged = False
            for p, (data, version) in zip(self.parameters, kept, strict=True):
                p._data, p.version = data, version  # unchanged: a graph from before has a backward


@fused
def adam_step(p, g, m, v, lr, b1, rest1, b2, rest2, c1, c2, eps):
    """Algorithm 1, in place. rest1 = 1 - b1, rest2 = 1 - b2; c1 = 1 - b1^t, c2 = 1 - b2^t, so that
    m / c1 is m_hat. They come as numbers: between two numbers in here CuPy would compute in float16
    (backend.fused)."""
    m *= b1
    m += rest1 * g
    v *= b2
    v += rest2 * (g * g)
    p -= lr * (m / c1) / (xp.sqrt(v / c2) + eps)


@fused
def move_average(a, p, rest):
    """a <- d a + (1 - d) p, in place; rest = 1 - d."""
    a += rest * (p - a)


# ---------------------------------------------------------------- schedules: step -> lr

def constant(lr, total_steps):
    """The same lr at every step."""
    return lambda step: lr


def cosine(lr, total_steps, warmup=0.02, final=0.01):
    """Up in a straight line over the first `warmup` part of the steps, then down half a
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
    the speed of a high rate, and most of the gain of a falling one. Hägele et al. 2024
    (2405.18392), section 3."""
    return lambda step: lr * min(1.0, max(0, total_steps - step) / (share * total_steps))


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
