"""The PixelCNN."""

import numpy as np

from models.gated import GatedBlock
from models.likelihoods import Softmax
from scratchnet import Tensor, ops

from ..check import N, answer, predicted
from .chapter_1 import through


@answer("models.pixelcnn.mask", swap={" or colours > 1": ""}, returns=("the mask",),
        cases=[dict(kind="A", height=3, width=3), dict(kind="B", height=3, width=3),
               dict(kind="A", height=1, width=5), dict(kind="B", height=5, width=3)],
        hint="Number the taps in reading order, np.arange(height * width): the middle has the "
             "number height * width // 2. Then reshape.",
        wrong={"return np.arange(height * width).reshape(height, width) <= height * width // 2":
               "the mask at (1, 1): expected False, found True",
               "keep = np.ones((height, width), bool)\nkeep[height // 2:] = False\n"
               "keep[height // 2, width // 2] = kind == 'B'\nreturn keep":
               "the mask at (1, 0): expected True, found False",
               "return np.tril(np.ones((height, width), bool), -1 if kind == 'A' else 0)":
               "the mask at (0, ",
               "return (np.arange(height * width) < height * width // 2 + (kind == 'B')).astype("
               "float).reshape(height, width)": "found numbers of float64; bool is asked for"})
def mask(kind, height, width):
    found = np.zeros((height, width), bool)
    for i, j in np.ndindex(height, width):
        here = (height // 2, width // 2)
        found[i, j] = (i, j) < here or kind == "B" and (i, j) == here
    return found


@answer("models.pixelcnn.channel_mask", returns=("the mask",),
        cases=[dict(kind=k, seen=np.array([0, 0, 1, 2]), seer=np.array([0, 1, 2])) for k in "AB"],
        hint="seen[:, None] has a row for each input. Type A takes <, type B <=.",
        wrong={"return seen[:, None] <= seer": "the mask at (0, 0): expected False, found True",
               "return seen < seer[:, None] if kind == 'A' else seen <= seer[:, None]":
               "expected shape (4, 3), found (3, 4): the transpose has the right numbers",
               "return seen[:, None] > seer if kind == 'A' else seen[:, None] >= seer":
               "the mask at (0, 1): expected True, found False"})
def channel_mask(kind, seen, seer):
    return np.array([[a < b or kind == "B" and a == b for b in seer] for a in seen])


predicted("window_of_a_pixel", "itself, rows_up, right_one_up, right_two_up",
          hint="Rows: 3 + 1 + 1. In the row above it sees what the first layer sees there: from "
               "its own row nobody sees to the right. Two up, a step of 3 and one of 1.",
          wrong={"return True, 5, 3, 4": "itself: expected False, found True",
                 "return False, 3, 3, 3": "rows_up: expected 5, found 3",
                 "return False, 5, 5, 5": "right_one_up: expected 3, found 5"})


@answer("scratchnet.ops.elementwise.gate_of: t, s", "scratchnet.ops.elementwise.gate_slopes",
        swap={"[...]": ""}, then="return t * s, da, db", returns=("y", "dL/da", "dL/db"),
        cases=[dict(g=N(2, 3), a=N(2, 3), b=N(2, 3))],
        hint="Each derivative has the other factor as it is: g s times the slope of tanh, g t "
             "times that of sigmoid.",
        wrong={"t, s = np.tanh(a), sigmoid_of(b)\nreturn t * s, g * (1 - t * t), g * s * (1 - s)":
               "dL/da at (", "t, s = np.tanh(a), sigmoid_of(b)\n"
               "return t * s, g * s * (1 - t), g * t * s * (1 - s)": "dL/da at (",
               "t, s = np.tanh(a), sigmoid_of(b)\n"
               "return t * s, g * s * (1 - t * t), g * t * (1 - s)": "dL/db at (",
               "t, s = np.tanh(a), sigmoid_of(b)\n"
               "return t * s, s * (1 - t * t), t * s * (1 - s)": "It does not depend on g"})
def gate(g, a, b):
    both = np.concatenate([a, b], axis=-1)
    slopes = through(ops.gate, g, both)
    return ops.gate(both).data, slopes[:, :3], slopes[:, 3:]


def stacks(block, v, h):
    layers = GatedBlock(2, 1, 0, np.random.default_rng(4)).astype(np.float64)
    found = block(layers, Tensor(v), Tensor(h))
    return tuple(getattr(part, "data", part) for part in found)


BLOCK = "models.gated.GatedBlock"


@answer(f"{BLOCK}.vertical: y =", f"{BLOCK}.vertical: return", f"{BLOCK}.horizontal: y =",
        f"{BLOCK}.horizontal: return", measure=stacks, returns=("v'", "h'"),
        swap={"return ops.gate(y), self": "v, link = ops.gate(y), self", "return h": "return v, h",
              "add_label(self.v(v), self.label_v, labels)": "self.v(v)",
              "add_label(self.h(h) + link, self.label_h, labels)": "self.h(h) + link",
              "self.": "layers."},
        cases=[dict(v=N(1, 3, 3, 2), h=N(1, 3, 3, 2))],
        hint="link takes y_v, which has twice as many channels as its gate leaves.",
        wrong={"y = layers.v(v)\nreturn ops.gate(y), h + layers.out(ops.gate(layers.h(h)))":
               "It does not depend on v",
               "y = layers.v(v)\nreturn ops.gate(y), layers.out(ops.gate(layers.h(h) + "
               "layers.link(y)))": "h' at (",
               "y = layers.v(v)\nreturn v + ops.gate(y), h + layers.out(ops.gate(layers.h(h) + "
               "layers.link(y)))": "v' at (",
               "v = ops.gate(layers.v(v))\nreturn v, h + layers.out(ops.gate(layers.h(h) + "
               "layers.link(v)))": "ValueError"})
def two_stacks(v, h):
    def by_the_model(layers, v, h):
        v, link = layers.vertical(v, None)
        return v, layers.horizontal(h, link, None)
    return stacks(by_the_model, v, h)


@answer("scratchnet.losses.logistic_mixture: return", returns=("-log P(x)",),
        swap={"reduce(": "", ", reduction)": "", "logsumexp(log_pi - nll, axis=-1)":
              "ops.logsumexp(log_pi - nll, axis=-1).data"},
        cases=[dict(log_pi=np.log([[0.5, 0.5], [0.9, 0.1], [0.5, 0.5]]),
                    nll=np.array([[1.0, 3], [2, 1000], [1000, 1001]]))],
        hint="log (pi_k P_k) = log_pi_k - nll_k; then logsumexp over k, and the sign.",
        wrong={"return -np.log((np.exp(log_pi) * np.exp(-nll)).sum(axis=-1))": "logarithm of 0",
               "m = nll.max(axis=-1, keepdims=True)\n"
               "return m[:, 0] - np.log(np.exp(log_pi + m - nll).sum(axis=-1))": "found -inf",
               "return ops.logsumexp(log_pi - nll, axis=-1).data": "-1 times",
               "return -ops.logsumexp(log_pi + nll, axis=-1).data": "-log P(x) at"})
def mixture(log_pi, nll):
    rest = nll.min(axis=-1, keepdims=True)
    return rest[:, 0] - np.log((np.exp(log_pi) * np.exp(rest - nll)).sum(axis=-1))


@answer("models.likelihoods.draw_softmax", returns=("k",),
        swap={"logits - logits.max": "logits / temperature - logits.max",
              "keepdims=True))": "keepdims=True) / temperature)"},
        cases=[dict(logits=np.array([[-1000, 0, 0], *np.log([[0.2, 0.5, 0.3]] * 5)]),
                    u=np.array([0, 0, 0.15, 0.3, 0.72, 0.95]), temperature=t) for t in (1.0, 0.5)],
        hint="np.cumsum(p, axis=1) are the sums; (cumulative <= u[:, None]).sum(axis=1) counts "
             "those that do not exceed u.",
        wrong={"return logits.argmax(axis=1)": "k at 1: expected 0, found 1",
               "p = np.exp(logits / temperature)\np /= p.sum(axis=1, keepdims=True)\n"
               "return (np.cumsum(p, axis=1) < u[:, None]).sum(axis=1) + 1": "k at ",
               "p = np.exp(logits)\np /= p.sum(axis=1, keepdims=True)\n"
               "return (np.cumsum(p, axis=1) <= u[:, None]).sum(axis=1)": "temperature = 0.5",
               "p = np.exp(logits * temperature)\np /= p.sum(axis=1, keepdims=True)\n"
               "return (np.cumsum(p, axis=1) <= u[:, None]).sum(axis=1)": "temperature = 0.5",
               "p = np.exp(logits / temperature)\n"
               "return (np.cumsum(p, axis=1) <= u[:, None]).sum(axis=1)": "k at ",
               "p = np.exp(logits / temperature)\np /= p.sum(axis=1, keepdims=True)\n"
               "return (np.cumsum(p, axis=1) < u[:, None]).sum(axis=1)":
               "k at 0: expected 1, found 0"})
def draw(logits, u, temperature):
    return Softmax(3).draw(logits, u[None], temperature)[:, 0]


@answer(*[f"scratchnet.fast.stream.StreamedConv: {line}" for line in
          ("seen =", "y = xp.dot(seen", "y += self.sums_above")], then="return y",
        swap={"self.": "", "len(x)": "len(now)"}, returns=("y_j",),
        cases=[dict(now=N(2, 7, 3), W_here=N(6, 2), sums_above=N(4, 2, 2), j=j, first=1, last=5,
                    step=2) for j in (0, 3)],
        hint="seen = now[:, first + j:last + j:step] is (n, T, C); as rows of T C numbers it goes "
             "into one product.",
        wrong={"return now[:, first:last:step].reshape(len(now), -1) @ W_here + sums_above[j]":
               "where j = 3",
               "return now[:, j:last + j:step].reshape(len(now), -1) @ W_here + sums_above[j]":
               "ValueError",
               "seen = now[:, first + j:last + j + 1:step]\n"
               "return seen.reshape(len(now), -1) @ W_here + sums_above[j]": "ValueError",
               "return now[:, first + j:last + j:step].reshape(len(now), -1) @ W_here":
               "It does not depend on sums_above",
               "return now[:, first + j:last + j:step].reshape(len(now), -1) @ W_here + "
               "sums_above[0]": "It should also depend on sums_above[3"})
def cache(now, W_here, sums_above, j, first, last, step):
    W = W_here.reshape(-1, now.shape[2], W_here.shape[1])
    return sums_above[j] + sum(now[:, j + q] @ W[t] for t, q in enumerate(range(first, last, step)))
