"""Adam and schedules."""

import numpy as np

from scratchnet import Tensor, optim

from ..check import N, answer, predicted


def after(optimizer, p, g, t=1, **state):
    """The parameter and the state after one step, the t-th, of scratchnet's optimiser."""
    p = Tensor(p.copy(), requires_grad=True)
    optimizer = optimizer([p])
    for name, array in state.items():
        optimizer.state[name][0][...] = array
    p.grad, optimizer.steps = g, [t - 1]
    optimizer.step()
    return p.data, *(optimizer.state[name][0] for name in optimizer.state)


@answer("scratchnet.optim.SGD.update", swap={"self.": ""}, then="return p, u",
        cases=[dict(p=N(2, 3), g=N(2, 3), u=N(2, 3), lr=0.1, momentum=0.9, weight_decay=0.01)],
        returns=("p", "u"),
        hint="First the new u, from the old p; then p with the new u.",
        wrong={"u = momentum * u + g\nreturn p - lr * u, u": "depend on weight_decay",
               "p = p - lr * u\nreturn p, momentum * u + g + weight_decay * p":
               "It does not depend on g",
               "u = momentum * u + lr * g + weight_decay * p\nreturn p - u, u":
               "p at (", "u = momentum * u + g + weight_decay * p\nreturn p + lr * u, u": "p at ("})
def momentum(p, g, u, lr, momentum, weight_decay):
    return after(lambda ps: optim.SGD(ps, lr, momentum, weight_decay), p, g, u=u)


@answer(*[f"scratchnet.optim.adam_step: {line}" for line in ("m *=", "m +=", "v *=", "v +=")],
        swap={"rest": "1 - b", "1 - b1 * g": "(1 - b1) * g", "1 - b2 * (g": "(1 - b2) * (g"},
        then="return m, v", returns=("m", "v"),
        cases=[dict(m=N(2, 3), v=np.full((2, 3), 0.5), g=N(2, 3), b1=0.9, b2=0.999)],
        hint="The parts are b and 1 - b, so that they add up to 1; g^2 is elementwise.",
        wrong={"return b1 * m + g, b2 * v + g * g": "m at (",
               "return b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g": "v at (",
               "return b1 * m + (1 - b1) * g, b1 * v + (1 - b1) * g * g":
               "It does not depend on b2",
               "return (1 - b1) * m + b1 * g, b2 * v + (1 - b2) * g * g": "m at ("})
def moments(m, v, g, b1, b2):
    return after(lambda ps: optim.Adam(ps, betas=(b1, b2)), np.zeros_like(g), g, m=m, v=v)[1:]


@answer("scratchnet.optim.adam_step: p -=", then="return p",
        swap={"c1": "(1 - b1 ** t)", "c2": "(1 - b2 ** t)"},
        cases=[dict(p=N(2, 2), m=N(2, 2), v=np.array([[0.1, 0.5], [1, 2]]), t=t, lr=0.1, b1=0.9,
                    b2=0.999, eps=0.1) for t in (1, 50)],
        hint="Divide m by 1 - b1^t and v by 1 - b2^t; the root is taken of v after that, and eps "
             "is added to the root.",
        wrong={"return p - lr * (m / (1 - b1)) / (np.sqrt(v / (1 - b2)) + eps)": "wrong in 4 of 4",
               "return p - lr * (m / (1 - b1 ** t)) / (np.sqrt(v) / (1 - b2 ** t) + eps)":
               "wrong in 4 of 4",
               "return p - lr * (m / (1 - b1 ** t)) / (np.sqrt(v / (1 - b2 ** t) + eps))":
               "wrong in 4 of 4"})
def adam(p, m, v, t, lr, b1, b2, eps):
    # m and v are those after this step's gradient: of a gradient of 0 they come out as they are
    return after(lambda ps: optim.Adam(ps, lr, (b1, b2), eps), p, np.zeros_like(p), t,
                 m=m / b1, v=v / b2)[0]


predicted("first_step", "adam_small, adam_large, sgd_small, sgd_large",
          hint="At the first step m_hat is g and v_hat is g^2, so m_hat / sqrt(v_hat) is the sign "
               "of g, and the step has the length lr.",
          wrong={"return -1e-5, 10.0, -1e-5, 10.0": "adam_small: expected -0.00999",
                 "return -0.01, -0.01, -1e-5, 10.0": "adam_large: expected 0.01, found -0.01",
                 "return -0.01, 0.01, -0.01, 0.01": "sgd_small"})


@answer("scratchnet.optim.cosine.at", cases=[dict(step=s, lr=0.1, total_steps=20, rise=4, final=0.1)
                                             for s in (0, 3, 4, 12, 19, 20, 25)],
        hint="At step = rise, done is 0, the cosine 1, the rate lr; at the end the cosine is -1.",
        wrong={"if step < rise:\n    return lr * step / rise\n"
               "done = min(1.0, (step - rise) / (total_steps - rise))\n"
               "return lr * (final + (1 - final) * (1 + math.cos(math.pi * done)) / 2)":
               "where step = ",
               "if step < rise:\n    return lr * (step + 1) / rise\n"
               "done = (step - rise) / (total_steps - rise)\n"
               "return lr * (final + (1 - final) * (1 + math.cos(math.pi * done)) / 2)":
               "where step = 25",
               "if step < rise:\n    return lr * (step + 1) / rise\n"
               "done = min(1.0, step / total_steps)\n"
               "return lr * (final + (1 - final) * (1 + math.cos(math.pi * done)) / 2)":
               "where step = "})
def cosine(step, lr, total_steps, rise, final):
    return optim.cosine(lr, total_steps, rise / total_steps, final)(step)


@answer("scratchnet.optim.move_average", swap={"rest": "(1 - min(d, (1 + t) / (10 + t)))"},
        then="return a", cases=[dict(a=N(3), p=N(3), d=0.9, t=t) for t in (1, 1000)],
        hint="At t = 1, d' is 2/11: most of a is the new p. Only after 80 steps d' is 0.9.",
        wrong={"return d * a + (1 - d) * p": "wrong in 3 of 3",
               "rest = min(d, (1 + t) / (10 + t))\nreturn rest * p + (1 - rest) * a":
               "wrong in 3 of 3",
               "rest = 1 - max(d, (1 + t) / (10 + t))\nreturn a + rest * (p - a)":
               "wrong in 3 of 3"})
def average(a, p, d, t):
    return after(lambda ps: optim.Adam(ps, lr=0, average=d), p, np.zeros_like(p), t, average=a)[-1]


def clipped(clip_grad_norm, first, second, max_norm):
    p, q = Tensor(first, requires_grad=True), Tensor(second, requires_grad=True)
    p.grad, q.grad = first.copy(), second.copy()
    norm = clip_grad_norm([p, q], max_norm)
    return norm, p.grad, q.grad


@answer("scratchnet.optim.clip_grad_norm", tensors=True, measure=clipped,
        returns=("norm", "the first gradient", "the second gradient"),
        cases=[dict(first=np.array([3.0, 0]), second=np.array([[0.0, 4]]), max_norm=m)
               for m in (1.0, 10.0)],
        hint="Add up the squares of all gradients before the root; and min(1, ...) leaves short "
             "ones alone.",
        wrong={"norm = np.sqrt(sum((p.grad * p.grad).sum() for p in parameters))\n"
               "for p in parameters:\n    p.grad = p.grad * max_norm / norm\nreturn norm":
               "the first gradient at 0: expected 3, found 6",
               "for p in parameters:\n    norm = np.sqrt((p.grad ** 2).sum())\n"
               "    p.grad = p.grad * min(1, max_norm / norm)\nreturn norm": "norm: expected 5",
               "norm = np.sqrt(sum((p.grad * p.grad).sum() for p in parameters))\n"
               "for p in parameters:\n    p.grad = np.clip(p.grad, -max_norm, max_norm)\n"
               "return norm": "the first gradient at 0: expected 0.6, found 1"})
def clip(first, second, max_norm):
    return clipped(optim.clip_grad_norm, first, second, max_norm)
