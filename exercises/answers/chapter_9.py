"""A prior over codes, and what an image costs."""

from fractions import Fraction

import numpy as np

from models import PixelCNN
from scratchnet import Tensor, ops

from ..check import N, Wrong, answer, predicted
from .chapter_1 import through


@answer("scratchnet.ops.products.embedding: return", returns=("the inputs",),
        swap={"record(table.data[indices], (table, dtable))": "table[indices]"},
        cases=[dict(indices=np.array([[[0, 2], [1, 2]]]), table=N(3, 2))],
        hint="NumPy takes an array of indices as an index: the result has their shape, and the "
             "table's last axis.",
        wrong={"return np.eye(len(table))[indices]":
               "expected shape (1, 2, 2, 2), found (1, 2, 2, 3)",
               "return table[indices].reshape(indices.shape[0], -1)": "expected shape (1, 2, 2, 2)",
               "return table[indices - 1]": "the inputs at ("})
def lookup(indices, table):
    one_hot = (indices[..., None] == np.arange(len(table))).astype(float)
    return one_hot @ table


@answer("scratchnet.ops.products.embedding.dtable", returns=("dL/dtable",),
        swap={"g.reshape(indices.size, D)": "g"},
        cases=[dict(g=N(5, 2), indices=np.array([2, 0, 2, 2, 1]), K=4)],
        hint="np.eye(K)[indices] are the one-hot rows; or np.add.at(zeros, indices, g), which adds "
             "for every place.",
        wrong={"found = np.zeros((K, g.shape[1]))\nfound[indices] += g\nreturn found":
               "It should also depend on g[0, ",
               "return np.eye(K)[indices] @ g.T": "ValueError",
               "O = np.eye(K)[indices]\nreturn O.T @ g / np.maximum(O.sum(axis=0), 1)[:, None]":
               "dL/dtable at (2, "})
def embedding(g, indices, K):
    return through(lambda table: ops.embedding(indices, table), g, np.zeros((K, g.shape[1])))


BITS = "models.pixelcnn.PixelCNN.loss"


@answer(f"{BITS}: value, dims", f'{BITS}: return nll, {{**metrics, "bits', then="",
        swap={"nll.detach()": "nll", "self.image_shape": "shape",
              'nll, {**metrics, "bits_per_dim": ': "", "))}": "))"}, returns=("bits/dim",),
        cases=[dict(nll=85.0, shape=(28, 28, 1)), dict(nll=7000.0, shape=(32, 32, 3))],
        hint="2^bits = e^nats, so a nat is 1 / log 2 = 1.44 bits; math.prod(shape) counts the "
             "numbers.",
        wrong={"return nll * math.log(2) / math.prod(shape)": "bits/dim: expected",
               "return nll / math.prod(shape)": "0.6931 times",
               "return nll / math.log(2) / (shape[0] * shape[1])": "where nll = "})
def bits(nll, shape):
    model = PixelCNN(shape, levels=4, features=6, blocks=0, head=6)
    model.neg_log_likelihood = lambda *_: Tensor(np.array([nll]))
    return model.loss(None)[1]["bits_per_dim"].data


def in_floats(step, *inputs):
    """A step with exact fractions: its results as floats, which are compared."""
    found = step(*inputs)
    if not isinstance(found, (tuple, list)):
        return found
    for v in found:
        if isinstance(v, float):
            raise Wrong(f"found {v!r}; an exact fraction is asked for: a long message needs more "
                        f"digits than a float has")
    return tuple(map(float, found))


F = Fraction
THIRDS = [F(1, 2), F(1, 3), F(1, 6)]


@answer("docs/09-priors-and-bits.md: low, width = low", then="return low, width",
        returns=("low", "width"), measure=in_floats,
        cases=[dict(low=F(0), width=F(1), symbol=s, p=THIRDS) for s in (0, 1, 2)] +
              [dict(low=F(1, 4), width=F(1, 2), symbol=s, p=THIRDS) for s in (0, 1, 2)],
        hint="The part of a symbol begins where those of all symbols before it end: "
             "sum(p[:symbol]) of the width above low.",
        wrong={"return low + sum(p[:symbol]), width * p[symbol]": "low: expected",
               "return low + width * sum(p[:symbol + 1]), width * p[symbol]": "low: expected",
               "return low + width * sum(p[:symbol]), p[symbol]": "width: expected",
               "return float(low + width * sum(p[:symbol])), width * p[symbol]": "exact fraction",
               "width = width * p[symbol]\nreturn low + width * sum(p[:symbol]), width":
               "low: expected"})
def coder(low, width, symbol, p):
    edges = [low + width * sum(p[:k], F(0)) for k in range(len(p) + 1)]
    return float(edges[symbol]), float(edges[symbol + 1] - edges[symbol])


@answer("docs/09-priors-and-bits.md: inside =", then="return inside[-1]", returns=("the symbol",),
        cases=[dict(number=n, low=F(1, 4), width=F(1, 2), p=THIRDS)
               for n in (F(1, 4), F(9, 20), F(1, 2), F(2, 3), F(7, 10))],
        hint="The part of symbol k begins at low + width * sum(p[:k]): the symbol is the last one "
             "that begins at the number or below.",
        wrong={"return sum(low + width * sum(p[:k + 1]) < number for k in range(len(p)))":
               "the symbol: expected 1, found 0",
               "return sum(width * sum(p[:k + 1]) <= number for k in range(len(p)))":
               "the symbol: expected",
               "return max(k for k in range(len(p)) if low + sum(p[:k]) <= number)":
               "the symbol: expected",
               "return int((number - low) / width * len(p))": "number = 9/20"})
def decoder(number, low, width, p):
    for k in range(len(p)):
        first, size = coder(low, width, k, p)
        if first <= float(number) < first + size:
            return k


predicted("entropy", "best, equal, mistaken, digits",
          hint="A letter of probability 2^-b takes b bits: 1, 2, 3, 3, each as often as it comes. "
               "Mistaken, they take 3, 3, 2, 1.",
          wrong={"return 1.75, 2.0, 1.75, 15": "mistaken: expected 2.625, found 1.75",
                 "return 2.25, 2.0, 2.625, 15": "best: expected 1.75, found 2.25",
                 "return 1.75, 2.0, 2.625, 14": "digits: expected 15, found 14"})
