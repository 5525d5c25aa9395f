"""Convolution."""

import numpy as np

from scratchnet import Tensor, conv

from ..check import N, Wrong, answer, predicted
from .chapter_1 import through

CROSS = ((-1, 0), (0, -1), (0, 0), (0, 1), (1, 1))
BY_LOOPS = ("y = np.zeros((*x.shape[:3], W.shape[2]))\n"
            "for n, p, q in np.ndindex(*x.shape[:3]):\n"
            "    for t, (i, j) in enumerate(taps):\n"
            "        if {} and {}:\n"
            "            y[n, p, q] += x[n, {}, {}] @ W[t]\nreturn y")
ROWS, COLUMNS = "0 <= p + i < x.shape[1]", "0 <= q + j < x.shape[2]"


@answer("tests.loops.convolve_by_loops", swap={"*size": "height, width", "N, height, width, _":
        "N, height, width, C", "np.ndindex(N, height, width)": "np.ndindex(N, height, width)",
        " * stride[0]": "", " * stride[1]": ""}, returns=("y",),
        cases=[{"x": N(2, 3, 4, 2), "W": N(5, 2, 3), "taps": CROSS}],
        hint="np.ndindex(N, H, W) walks all positions; a row of C numbers @ W[t] has K. A negative "
             "index is none to Python: it reads from the other end.",
        wrong={BY_LOOPS.format(ROWS.removeprefix("0 <= "), COLUMNS.removeprefix("0 <= "), "p + i",
                               "q + j"): "y at (",
               BY_LOOPS.format(ROWS.replace("+", "-"), COLUMNS.replace("+", "-"), "p - i",
                               "q - j"): "It should also depend on x[",
               BY_LOOPS.format(ROWS, COLUMNS, "p", "q"): "It should also depend on x["})
def convolution(x, W, taps):
    return conv.gather_matmul(x, W.reshape(-1, W.shape[2]), taps, (1, 1), x.shape[1:3])


GATHER = ("rows = np.zeros((len(x), *size, len(taps), x.shape[3]))\n"
          "for p, q, t in np.ndindex(*size, len(taps)):\n"
          "    i, j = {} + taps[t][0], {} + taps[t][1]\n"
          "    if 0 <= i < x.shape[1] and 0 <= j < x.shape[2]:\n"
          "        rows[:, p, q, t] = x[:, {}]\nreturn rows")


@answer("scratchnet.taps.gather", swap={"places(taps, stride,": "places(taps, (stride, stride),"},
        cases=[{"x": N(1, 4, 5, 2), "taps": CROSS, "stride": 2, "size": (2, 3)}],
        returns=("rows",),
        hint="Loop over p, q and t; the pixel is (p s + i, q s + j), copied for all images at "
             "once: rows[:, p, q, t] = x[:, row, column].",
        wrong={GATHER.format("p", "q", "i, j"): "rows at (",
               GATHER.format("p * stride", "q * stride", "min(j, 3), min(i, 4)"): "rows at (",
               GATHER.format("(p + 1) * stride", "q * stride", "i, j"): "rows at ("})
def gather(x, taps, stride, size):
    return conv.gather_matmul(x, np.eye(len(taps) * x.shape[3]), taps, (stride, stride),
                              size).reshape(len(x), *size, len(taps), x.shape[3])


@answer("scratchnet.taps.scatter", returns=("x",),
        cases=[{"rows": N(1, 3, 3, 5, 1), "taps": CROSS, "stride": (1, 1), "size": (3, 3)}],
        hint="A pixel is read by several taps, and gets the sum of what comes back from all of "
             "them; = keeps the last alone.",
        wrong={"x = np.zeros((len(rows), *size, rows.shape[4]), rows.dtype)\n"
               "for t, (i, j, p, q) in enumerate(places(taps, stride, rows.shape[1:3], size)):\n"
               "    x[:, p, q] += rows[:, i, j, t]\nreturn x": "It should also depend on rows[",
               "return rows.sum(axis=3)": "depend on rows["})
def scatter(rows, taps, stride, size):
    g, W = rows.reshape(1, *size, 5), Tensor(np.eye(5))  # y = gather(x) I
    return through(lambda x: conv.convolve(x, W, None, taps, stride, size), g,
                   np.zeros((1, *size, 1)))


@answer("dx = scratchnet.taps.matmul_scatter", "dW = scratchnet.taps.gather_t_matmul",
        swap={"stride, size)": "stride, x.shape[1:3])"}, then="return dx, dW", returns=("dx", "dW"),
        cases=[{"g": N(2, 2, 2, 3), "x": N(2, 4, 4, 2), "W": N(10, 3), "taps": CROSS,
                "stride": (2, 2)}],
        hint="g @ W.T is (N, P, Q, T*C): reshape it to (N, P, Q, T, C) for scatter. For dW make "
             "long matrices, (N*P*Q, T*C) and (N*P*Q, K).",
        wrong={"rows = as_matrix(gather(x, taps, stride, g.shape[1:3])).reshape(-1, 10)\n"
               "dx = gather(g @ W.T, taps, stride, (4, 4))[..., :2].sum(axis=3)\n"
               "return dx, rows.T @ g.reshape(-1, 3)": "dx at (",
               "rows = as_matrix(gather(x, taps, stride, g.shape[1:3])).reshape(-1, 10)\n"
               "dx = scatter((g @ W.T).reshape(2, 2, 2, 5, 2), taps, stride, (4, 4))\n"
               "return dx, g.reshape(-1, 3).T @ rows": "dW: expected shape (10, 3), found (3, 10)",
               "rows = as_matrix(gather(x, taps, stride, g.shape[1:3])).reshape(-1, 10)\n"
               "dx = scatter((g @ W.T).reshape(2, 2, 2, 5, 2), taps, stride, (4, 4))\n"
               "return dx, rows.T @ g.reshape(-1, 3) / 2": "1/2 times"})
def conv_backward(g, x, W, taps, stride):
    return through(lambda x, W: conv.convolve(x, W, None, taps, stride, g.shape[1:3]), g, x, W)


@answer("scratchnet.conv._out_size: out =", swap={"max(1, s)": "s"}, then="return out",
        cases=[dict(n=28, k=3, s=2, p=1), dict(n=28, k=3, s=1, p=1), dict(n=5, k=5, s=1, p=0),
               dict(n=32, k=4, s=2, p=1), dict(n=7, k=3, s=3, p=0), dict(n=2, k=3, s=2, p=0)],
        hint="// divides and rounds down. Of n = 5 and k = 5 there is one position, not none.",
        wrong={"return (n + 2 * p - k) // s": "everywhere 1 too little",
               "return (n + p - k) // s + 1": "where n = 28",
               "return (n + 2 * p - k) / s + 1": "where n = 28",
               "return -(-(n + 2 * p - k) // s) + 1": "where n = 28",
               "return int((n + 2 * p - k) / s) + 1": "expected 0, found 1, where n = 2, k = 3"})
def size(n, k, s, p):
    return sum(1 for first in range(-p, n + p, s) if first + k <= n + p)


predicted("ones", "inside, corner, size, where_four_meet",
          hint="Count the taps that lie on a pixel: at a corner with padding, 4 of 9. Three stamps "
               "of 3 with stride 2 cover 2 + 2 + 3 pixels, and overlap where four meet.",
          wrong={"return 9, 9, 7, 4": "corner: expected 4, found 9",
                 "return 9, 4, 6, 4": "size: expected 7, found 6",
                 "return 9, 4, 7, 1": "where_four_meet: expected 4, found 1"})

STAMPS = ("y = np.zeros((len(x), *size, W.shape[1]))\n"
          "for p, q in np.ndindex(*x.shape[1:3]):\n"
          "    for t, (i, j) in enumerate(taps):\n"
          "        a, b = {} + i, {} + j\n"
          "        if 0 <= a < size[0] and 0 <= b < size[1]:\n"
          "            y[:, a, b] {}= x[:, p, q] @ W[t]{}\nreturn y")


@answer("tests.loops.transposed_by_loops", swap={"stride[0]": "stride", "stride[1]": "stride"},
        returns=("y",), cases=[{"x": N(1, 2, 3, 2), "W": N(5, 2, 2), "taps": CROSS, "stride": 2,
                                "size": (4, 5)}],
        hint="It is the convolution by loops with its two sides changed over: y[n, row, column] "
             "+= W[t] @ x[n, p, q].",
        wrong={STAMPS.format("p * stride", "q * stride", "", ".T"): "It should also depend on",
               STAMPS.format("p", "q", "+", ".T"): "y at (",
               STAMPS.format("p * stride", "q * stride", "+", ""): "y at ("})
def transposed(x, W, taps, stride, size):
    return conv.matmul_scatter(x, W.reshape(-1, W.shape[2]), taps, (stride, stride), size)


def pairs(window, kernel, padding):
    found = window(kernel, padding)
    if not isinstance(found, (tuple, list, np.ndarray)):
        raise Wrong(f"window(kernel, padding): found a {type(found).__name__}; a tuple of pairs "
                    f"(i, j) is asked for")
    return np.array(found)


@answer("scratchnet.conv.window", measure=pairs,
        cases=[dict(kernel=(2, 4), padding=(1, 2)), dict(kernel=(3, 3), padding=(0, 0))],
        hint="With a padding of 1, position 0 lies over pixel 0, and its first tap reads pixel -1.",
        wrong={"return tuple((i + padding[0], j + padding[1])\n"
               "             for i in range(kernel[0]) for j in range(kernel[1]))":
               "the same term",
               "return tuple((i - padding[0], j - padding[1])\n"
               "             for j in range(kernel[1]) for i in range(kernel[0]))": "at (",
               "return tuple((i, j) for i in range(kernel[0]) for j in range(kernel[1]))":
               "the same term",
               "return [(i - padding[1], j - padding[0])\n"
               "        for i in range(kernel[0]) for j in range(kernel[1])]": "the same term",
               "return {(i - padding[0], j - padding[1])\n"
               "        for i in range(kernel[0]) for j in range(kernel[1])}": "found a set",
               "window = [(0, 0)]": "found a NoneType"})
def window(kernel, padding):
    return np.argwhere(np.ones(kernel)) - np.array(padding)
