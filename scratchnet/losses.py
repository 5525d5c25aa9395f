"""Losses: each elementwise formula and its derivative, then a reduction.

`reduction` says what becomes of the elements' losses; N is the length of axis 0:

    "none"       nothing: an array of losses
    "sum"        their sum
    "mean"       their sum / their number
    "batchmean"  their sum / N: summed over pixels, averaged over images. The
                 terms of an ELBO all take this one, so that they stay comparable.
"""

from . import ops
from .backend import fused, xp
from .ops.arithmetic import operands
from .ops.elementwise import sigmoid_of, softplus_of
from .ops.reductions import logsumexp_of
from .tensor import raw, record

REDUCTIONS = ("none", "sum", "mean", "batchmean")


def reduce(losses, reduction):
    """Apply one of REDUCTIONS to a Tensor of losses; ValueError for another name."""
    if reduction == "none":
        return losses
    if reduction == "sum":
        return losses.sum()
    if reduction == "mean":
        return losses.mean()
    if reduction == "batchmean":
        return losses.sum() / losses.shape[0]
    raise ValueError(f"unknown reduction {reduction!r}: choose one of {', '.join(REDUCTIONS)}")


def mse(x_hat, x, reduction="mean"):
    """Squared error (x_hat - x)^2 of two Tensors of one shape, reduced (see above).

    dL/dx_hat = 2 g (x_hat - x),   dL/dx = -2 g (x_hat - x).
    Raises ValueError if the shapes differ: broadcasting here is nearly always a mistake.
    """
    x_hat, x = operands(x_hat, x)
    _same_shape("mse", x_hat, x)
    difference = x_hat.data - x.data
    def dx_hat(g): return 2 * g * difference
    def dx(g): return -2 * g * difference
    return reduce(record(difference * difference, (x_hat, dx_hat), (x, dx)), reduction)


def bce_with_logits(logits, targets, reduction="mean"):
    """Binary cross-entropy -[t log p + (1 - t) log(1 - p)], p = sigmoid(l), reduced (see above).

    logits, targets: one shape; targets in [0, 1]. In nats. Binary targets make it
    -log Bernoulli(t; p), a likelihood; grey ones a loss only.

    With log p = -softplus(-l) and log(1 - p) = -softplus(l):
        y = max(l, 0) - l t + log(1 + e^-|l|),
    finite for every finite l.   dL/dl = g (sigmoid(l) - t),   dL/dt = -g l.
    Saves e^-|l|, of which the sigmoid is 1/(1 + e^-|l|) for l >= 0, else e^-|l|/(1 + e^-|l|).
    Raises ValueError if the shapes differ.
    """
    logits, targets = operands(logits, targets)
    _same_shape("bce_with_logits", logits, targets)
    y, e = bce_of(logits.data, targets.data)
    def dlogits(g): return bce_slope(g, logits.data, targets.data, e)
    def dtargets(g): return -g * logits.data
    return reduce(record(y, (logits, dlogits), (targets, dtargets)), reduction)


@fused
def bce_of(l, t):  # noqa: E741
    e = xp.exp(-xp.abs(l))
    return xp.maximum(l, 0) - l * t + xp.log1p(e), e


@fused
def bce_slope(g, l, t, e):  # noqa: E741
    return g * (xp.maximum(e, l >= 0) / (1 + e) - t)  # e <= 1: the greater is 1 where l >= 0


def softmax_cross_entropy(logits, labels, reduction="mean"):
    """-log softmax(logits)[label] along the last axis, in nats, reduced (see above).

    logits: (..., K); labels: integers 0 .. K-1, shape (...). The losses have shape (...).
        y = logsumexp(l) - l[label],   dL/dl_k = g (softmax(l)_k - [k = label]).
    Raises TypeError or ValueError for labels of another type or shape.
    """
    logits, labels = ops.as_tensor(logits), xp.asarray(raw(labels))
    if labels.dtype.kind not in "iu":
        raise TypeError(f"softmax_cross_entropy: labels must be integers, not {labels.dtype}")
    if labels.shape != logits.shape[:-1]:
        raise ValueError(f"softmax_cross_entropy: labels of shape {labels.shape} for logits "
                         f"{logits.shape}; expected {logits.shape[:-1]}")
    l, index = logits.data, labels[..., None]  # noqa: E741
    log_z = logsumexp_of(l, -1)
    y = (log_z - xp.take_along_axis(l, index, axis=-1))[..., 0]
    def dlogits(g):
        d = l - log_z  # turned into g softmax(l) in place: logits are a model's largest arrays
        xp.exp(d, out=d)
        d *= g[..., None]
        d.reshape(-1, l.shape[-1])[xp.arange(index.size), index.reshape(-1)] -= g.reshape(-1)
        return d
    return reduce(record(y, (logits, dlogits)), reduction)


def gaussian_kl(mu, log_var, reduction="batchmean"):
    """KL( N(mu, e^log_var) || N(0, 1) ) in nats for each latent dimension, reduced (see above).

        y = (mu^2 + e^log_var - 1 - log_var) / 2
        dL/dmu = g mu,   dL/dlog_var = g (e^log_var - 1) / 2
    mu, log_var: one shape, (N, z_dim). Source: Kingma & Welling 2013, appendix B.
    Raises ValueError if the shapes differ.
    """
    mu, log_var = operands(mu, log_var)
    _same_shape("gaussian_kl", mu, log_var)
    y, var = kl_of(mu.data, log_var.data)
    def dmu(g): return g * mu.data
    def dlog_var(g): return kl_slope(g, var)
    return reduce(record(y, (mu, dmu), (log_var, dlog_var)), reduction)


@fused
def kl_of(mu, log_var):
    var = xp.exp(log_var)
    return 0.5 * (mu * mu + var - 1 - log_var), var


@fused
def kl_slope(g, var):
    return 0.5 * g * (var - 1)


def discretised_logistic(mean, log_scale, x, reduction="batchmean"):
    """-log P(x) in nats of pixels that take the 256 values 0, 1/255, ..., 1, reduced (see above).

    P is the mass that a logistic distribution with this mean and scale s = e^log_scale has in
    x's bin, half a step d = 1/255 to either side; the outermost bins reach to infinity:

        P = sigmoid(a) - sigmoid(b),   a = (x - mean + d/2) / s,   b = (x - mean - d/2) / s

    written so that nothing underflows, with softplus(v) = log(1 + e^v) and w = a - b = d/s:

        -log P = softplus(-a) + softplus(b) - log(1 - e^-w)     (0 < x < 1)
        -log P = softplus(-a) at x = 0,   softplus(b) at x = 1

    dL/da = -g (sigmoid(-a) + 1/(e^w - 1)),  dL/db = g (sigmoid(b) + 1/(e^w - 1)),  and
    da/dmean = -1/s,  da/dlog_scale = -a,  the same for b. All arrays have one shape.
    Source: Salimans et al. 2017 (1701.05517), section 2.1. Raises ValueError if shapes differ.
    """
    mean, log_scale = operands(mean, log_scale)
    x = operands(x, mean)[0].data
    _same_shape("discretised_logistic", mean, log_scale)
    _same_shape("discretised_logistic", mean, x)
    d, inverse_s = 1 / 255, xp.exp(-log_scale.data)
    a, b = (x - mean.data + d / 2) * inverse_s, (x - mean.data - d / 2) * inverse_s
    lowest, highest = x < d / 2, x > 1 - d / 2
    w = d * inverse_s
    y = (xp.where(highest, 0, softplus_of(-a)) + xp.where(lowest, 0, softplus_of(b))
         - xp.where(lowest | highest, 0, xp.log(-xp.expm1(-w))))
    def slopes():
        between = xp.where(lowest | highest, 0, 1 / xp.expm1(w))
        return (-xp.where(highest, 0, sigmoid_of(-a)) - between,
                xp.where(lowest, 0, sigmoid_of(b)) + between)
    def dmean(g):
        da, db = slopes()
        return -g * inverse_s * (da + db)
    def dlog_scale(g):
        da, db = slopes()
        return -g * (a * da + b * db)
    return reduce(record(y, (mean, dmean), (log_scale, dlog_scale)), reduction)


def perplexity(usage):
    """exp(-sum p log p) of a distribution p (K,): how many codes it uses, were all used equally.

    p log p is 0 at p = 0, its limit there: log 1 = 0 stands in for log 0. An array, on the device.
    """
    log_p = xp.log(xp.where(usage > 0, usage, 1))
    return xp.exp(-(usage * log_p).sum())


def _same_shape(name, a, b):
    if a.shape != b.shape:
        raise ValueError(f"{name}: shapes {a.shape} and {b.shape} differ")
