"""The chain rule."""

import numpy as np

from scratchnet import GradientError, Tensor, gradcheck, ops

from ..check import N, Wrong, answer, predicted


def through(op, g, *inputs):
    """The derivatives of an op, from the tape: one for each input."""
    leaves = [Tensor(x, requires_grad=True) for x in inputs]
    op(*leaves).backward(g)
    found = tuple(t.grad for t in leaves)
    return found if len(found) > 1 else found[0]


@answer("scratchnet.losses.mse.dx_hat", swap={"difference": "x"},
        cases=[{"g": N(2, 3), "x": N(2, 3)}],
        hint="y = x x, and x is in it twice: each way gives g x.",
        wrong={"return g * x": "1/2 times", "return 2 * x": "depend on g",
               "return 2 * g": "depend on x"})
def square(g, x):
    return through(lambda x: x * x, g, x)


@answer("scratchnet.ops.elementwise.tanh.dx", cases=[{"g": N(2, 3), "y": np.tanh([[-2, -1, -.1],
                                                                                 [.1, 1, 2]])}],
        hint="y is tanh(x) already: 1 - tanh(x)^2 is 1 - y^2. And g is a factor.",
        wrong={"return g * (1 - np.tanh(y) ** 2)": "where g =",
               "return 1 - y * y": "depend on g", "return g * (1 - y)": "where g ="})
def tanh(g, y):
    return through(ops.tanh, g, np.arctanh(y))


predicted("used_twice", "first, second",
          hint="Add up over all ways: y is x x + x, so 2 x + 1; z is 4 x x.",
          wrong={"return 6.0, 24.0": "first: expected 7, found 6",
                 "return 7.0, 12.0": "1/2 times", "return 4.0, 24.0": "first"})


def shared(add, number, gx):
    start, gradients = np.arange(6.0).reshape(2, 3), {}
    add(gradients, 5, start)
    add(gradients, 6, start)
    add(gradients, number, gx)
    return gradients.get(number), gradients[6]


@answer("scratchnet.tensor.Tensor.backward: elif source.number in gradients",
        swap={"elif": "if", "heapq.heappush(queue, (-source.number, source))": "",
              "source.number": "number"},
        cases=[{"number": 5, "gx": N(2, 3)}, {"number": 7, "gx": N(2, 3)}],
        returns=("the gradient of this node", "the gradient of its neighbour"),
        measure=shared,
        hint="+= changes the array itself, which another node may have, too: make a new one.",
        wrong={"gradients[number] = gx": "of this node",
               "gradients[number] = gradients[number] + gx": "KeyError"})
def fan_out(number, gx):
    start = np.arange(6.0).reshape(2, 3)
    return (start + gx if number == 5 else gx), start


@answer("scratchnet.ops.arithmetic.unbroadcast", returns=("dL/da",),
        cases=[{"g": N(2, 3), "shape": (3,)}, {"g": N(2, 3), "shape": (2, 1)},
               {"g": N(4, 2, 3), "shape": (1, 3)}],
        hint="First sum over the axes that a does not have, from the left; then, with "
             "keepdims=True, over those where a has length 1.",
        wrong={"return g.sum(axis=0)": "expected shape (2, 1)",
               "return g.sum(axis=0, keepdims=True)": "(3,), found (1, 3): summed over axis 0",
               "return g[0]": "expected shape (2, 1), found (3,)"})
def unbroadcast(g, shape):
    return through(lambda a: ops.broadcast_to(a, g.shape), g, np.zeros(shape))


@answer("dx = scratchnet.ops.products.linear.dx", "dw = scratchnet.ops.products.linear.dw",
        swap={"g.reshape(n, n_out)": "g", ".reshape(x.shape)": "", "rows": "x"},
        then="return dx, dw", returns=("dx", "dw"),
        cases=[{"g": N(4, 2), "x": N(4, 3), "w": N(3, 2)}],
        hint="dx has the shape of x, (n, k): only g (n, m) times the transpose of w (m, k) has it.",
        wrong={"return g @ w.T, g.T @ x": "dw: expected shape (3, 2), found (2, 3): the transpose",
               "return np.ones_like(g) @ w.T, x.T @ g": "depend on g"})
def product(g, x, w):
    return through(ops.matmul, g, x, w)


predicted("differences", "one_side, two_sides, at_a_kink",
          rtol=1e-3,
          hint="(3 + h)^2 is 9 + 6 h + h^2; with -h as well, the squares cancel. |h| = |-h|.",
          wrong={"return 6.05, 6.0, 0.0": "one_side: expected 6.1",
                 "return 6.1, 6.0, 1.0": "at_a_kink: expected 0"})


def op_checked(sqrt, x, g):
    x = Tensor(x, requires_grad=True)
    y = sqrt(x)
    if not isinstance(y, Tensor):
        raise Wrong(f"sqrt(x): found a {type(y).__name__}; record(y, (x, dx)) returns a Tensor")
    try:
        gradcheck(sqrt, x.data)
    except (GradientError, ValueError) as error:
        if np.allclose(y.data, np.sqrt(x.data)):
            raise Wrong(str(error)) from None
    y.backward(g)
    return y.data, x.grad


@answer("scratchnet.ops.elementwise.sqrt", returns=("y", "dL/dx"), tensors=True, measure=op_checked,
        cases=[{"x": np.array([[0.25, 1, 4], [9, 2, 3]]), "g": N(2, 3)}],
        hint="Compute y first, then define dx(g) below it, which uses that y; the last line is "
             "return record(y, (x, dx)).",
        wrong={"y = np.sqrt(x.data)\ndef dx(g): return g / y\nreturn record(y, (x, dx))":
               "derivative with respect to x",
               "y = x.data\ndef dx(g): return g\nreturn record(y, (x, dx))": "y at",
               "y = np.sqrt(x.data)\ndef dx(g): return g / (2 * x)\nreturn record(y, (x, dx))":
               "returned a Tensor: compute with x.data",
               "return np.sqrt(x.data)": "record(y, (x, dx)) returns a Tensor"})
def op(x, g):
    return np.sqrt(x), through(ops.sqrt, g, x)
