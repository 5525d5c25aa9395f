"""Every op. One op is one function: its docstring is the math, its first lines the forward
pass, and each nested function one derivative (nearest_code has none).

Read in this order: arithmetic, elementwise, reductions, shapes, products, quantise. What makes
Tensors of what an op is given, and refuses what it cannot take, stands apart: ../inputs.py.
"""

from ..inputs import as_tensor
from ..tensor import Tensor
from .arithmetic import add, div, mul, neg, power, sub, unbroadcast, where
from .elementwise import clip, elu, exp, gate, log, relu, sigmoid, softplus, sqrt, tanh
from .products import embedding, linear, matmul
from .quantise import nearest_code, straight_through
from .reductions import log_softmax, logsumexp, max, mean, softmax, sum
from .shapes import broadcast_to, concatenate, getitem, reshape, split, stack, transpose

__all__ = [
    "add", "as_tensor", "broadcast_to", "clip", "concatenate", "div", "elu", "embedding", "exp",
    "gate", "getitem", "linear", "log", "log_softmax", "logsumexp", "matmul", "max", "mean",
    "mul", "nearest_code", "neg", "power", "relu", "reshape", "sigmoid", "softmax", "softplus",
    "split", "sqrt", "stack", "straight_through", "sub", "sum", "tanh", "transpose", "unbroadcast",
    "where",
]

# Operators and methods of Tensor are these ops under another name.
_METHODS = {
    "__add__": add, "__radd__": lambda b, a: add(a, b),
    "__sub__": sub, "__rsub__": lambda b, a: sub(a, b),
    "__mul__": mul, "__rmul__": lambda b, a: mul(a, b),
    "__truediv__": div, "__rtruediv__": lambda b, a: div(a, b),
    "__pow__": power,
    "__matmul__": matmul, "__rmatmul__": lambda b, a: matmul(a, b),
    "__neg__": neg, "__getitem__": getitem, "T": property(transpose),
    "sum": sum, "mean": mean, "max": max, "reshape": reshape, "transpose": transpose,
}
for _name, _op in _METHODS.items():
    setattr(Tensor, _name, _op)


def _augmented(op):
    """Augmented assignment: x += y gives the name x to the result of x + y. Refused for a leaf that
    requires a gradient, which it would not train. Raises TypeError."""
    def assign(x, y):
        if x.requires_grad and x.node is None:
            raise TypeError("+=, -=, *= and /= make a new Tensor, and leave this one, a leaf that "
                            "requires a gradient, as it is: to train it write p.data -= lr * "
                            "p.grad, for a new one h = h + y")
        return op(x, y)
    return assign


for _name, _op in {"iadd": add, "isub": sub, "imul": mul, "itruediv": div}.items():
    setattr(Tensor, f"__{_name}__", _augmented(_op))
