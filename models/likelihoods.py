"""What a PixelCNN's outputs say of a pixel: a price for its values, and a draw of them.

    outputs      numbers of the network for one draw
    draws        uniforms that one draw takes
    nll(y, values)        -log p in nats, (N, H, W, colours), from y (N, H, W, colours, outputs) and
                 integers (N, H, W, C); a mixture has one colour for all channels
    draw(y, u, temperature)   integers, or for two values bool, (n, channels drawn) from y (n,
                 outputs), u ~ U(0, 1) (draws, n). It inverts the cumulative distribution, and is
                 not the likeliest value, which would draw the same image each time. temperature
                 divides the logits, and multiplies the scales of a mixture: below 1 nearer to the
                 likeliest

Softmax and Bernoulli are drawn channel after channel, a mixture all channels of a pixel at once.
docs/08-pixelcnn.md derives each; docs/09-priors-and-bits.md has a softmax over codes.
"""

import numpy as np

from scratchnet import losses
from scratchnet.backend import xp
from scratchnet.ops.elementwise import sigmoid_of
from scratchnet.tensor import Tensor


class Softmax:
    """p(k) = e^(l_k) / sum_j e^(l_j): each of the L values has a logit. 1601.06759, section 2.2."""

    draws = 1

    def __init__(self, levels):
        self.outputs = levels

    def nll(self, logits, values):
        return losses.softmax_cross_entropy(logits, values, "none")

    def draw(self, logits, u, temperature=1.0):
        return draw_softmax(logits / temperature, u[0])[:, None]


class Bernoulli:
    """p(1) = sigmoid(l): two values need one logit, as a softmax of (0, l) is the same."""

    draws = outputs = 1

    def nll(self, logits, values):
        targets = values.astype(logits.dtype)
        return losses.bce_with_logits(logits.reshape(values.shape), targets, "none")

    def draw(self, logits, u, temperature=1.0):
        return u.T < sigmoid_of(logits / temperature)


class LogisticMixture:
    """A pixel from a mixture of discretised logistics, whose components choose all its channels
    together (losses.logistic_mixture). 1701.05517, sections 2.1 and 2.2."""

    def __init__(self, components, levels, channels):
        self.levels, self.channels, self.draws = levels, channels, 1 + channels
        self.outputs = losses.mixture_size(components, channels)

    def nll(self, y, values):
        x = values[..., None, :].astype(y.dtype) / (self.levels - 1)
        return losses.logistic_mixture(y, x, "none", self.levels)

    def draw(self, y, u, temperature=1.0):
        """u_0 picks the component k, then channel after channel

            x = mean_k + scale_k log(u / (1 - u)),   rounded to the nearest level

        is a draw of the discretised logistic: what is rounded to a level is what its bin holds."""
        C, most = self.channels, self.levels - 1
        log_pi, m, log_scale, a = losses.mixture_parts(Tensor(y), C)
        k = draw_softmax(log_pi.data / temperature, u[0])
        rows, x = xp.arange(len(y)), xp.zeros((len(y), C), y.dtype)
        odds = xp.log(xp.maximum(u[1:], 1e-30)) - xp.log1p(-u[1:])  # u may be 0
        for c in range(C):
            mean = losses.mixture_mean(m, a, [x[:, j, None] for j in range(c)]).data[rows, k]
            scale = temperature * xp.exp(log_scale.data[rows, c, k])
            x[:, c] = xp.rint((mean + scale * odds[c]) * most).clip(0, most) / most
        return xp.rint(x * most).astype(np.int32)


def draw_softmax(logits, u):
    """Indices (n,) from logits (n, K) and uniforms (n,): the first at which the cumulative
    probability exceeds u."""
    p = xp.exp(logits - logits.max(axis=1, keepdims=True))
    cumulative = xp.cumsum(p, axis=1)
    # clip: rounded, the last one may reach u times itself
    return (cumulative <= u[:, None] * cumulative[:, -1:]).sum(axis=1).clip(0, p.shape[1] - 1)
