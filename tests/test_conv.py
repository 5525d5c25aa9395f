"""Convolution: naive loops, the adjoint, masks, blocks, sizes that do not fit."""

from concurrent.futures import ThreadPoolExecutor

import loops
import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from scratchnet import Tensor, conv, nn, taps, to_numpy, xp
from scratchnet.fast import kernels, memory, products

pytestmark = pytest.mark.usefixtures("backend")

SIZES = {"n": st.integers(1, 3), "h": st.integers(1, 7), "w": st.integers(1, 7),
         "kh": st.integers(1, 4), "kw": st.integers(1, 4), "sh": st.integers(1, 5),
         "sw": st.integers(1, 3), "ph": st.integers(0, 3), "pw": st.integers(0, 3),
         "c": st.integers(1, 3), "k": st.integers(1, 3)}


@settings(max_examples=80, deadline=None)
@example(n=2, h=6, w=5, kh=3, kw=2, sh=1, sw=1, ph=1, pw=1, c=5, k=1)  # by its mirror image
@given(**SIZES)
def test_conv2d_by_loops(n, h, w, kh, kw, sh, sw, ph, pw, c, k):
    assume(h + 2 * ph >= kh and w + 2 * pw >= kw)
    rng = np.random.default_rng(h + 10 * w)
    x, f, b = (rng.standard_normal(s) for s in ((n, h, w, c), (kh, kw, c, k), (k,)))
    y = conv.conv2d(x, f, b, (sh, sw), (ph, pw))
    expected = loops.convolve_by_loops(x, f.reshape(-1, c, k), conv.window((kh, kw), (ph, pw)),
                                      (sh, sw), y.shape[1:3]) + b
    np.testing.assert_allclose(y.numpy(), expected, atol=1e-12)


@settings(max_examples=80, deadline=None)
@given(**SIZES, data=st.data())
def test_conv_transpose2d_by_loops(n, h, w, kh, kw, sh, sw, ph, pw, c, k, data):
    extra = data.draw(st.tuples(st.integers(0, sh - 1), st.integers(0, sw - 1)))
    size = ((h - 1) * sh + kh - 2 * ph + extra[0], (w - 1) * sw + kw - 2 * pw + extra[1])
    assume(min(size) >= 1)
    rng = np.random.default_rng(h + 10 * w)
    x, f, b = (rng.standard_normal(s) for s in ((n, h, w, c), (kh, kw, k, c), (k,)))
    y = conv.conv_transpose2d(x, f, b, (sh, sw), (ph, pw), extra)
    assert y.shape[1:3] == size
    expected = loops.transposed_by_loops(x, f.reshape(-1, k, c), conv.window((kh, kw), (ph, pw)),
                                        (sh, sw), size) + b
    np.testing.assert_allclose(y.numpy(), expected, atol=1e-12)


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 12), st.integers(1, 5), st.integers(1, 4), st.integers(0, 3))
def test_as_many_positions_as_windows_that_fit(n, k, s, pad):
    """Windows counted one by one; output_padding picks each of the s sizes with that number."""
    def positions(n): return len(range(-pad, n + pad - k + 1, s))  # where windows begin
    assume(n + 2 * pad >= k)
    m = conv.conv2d(np.ones((1, n, n, 1)), np.ones((k, k, 1, 1)), None, s, pad).shape[1]
    assert m == positions(n)
    expected = [i for i in range(1, n + s) if i + 2 * pad >= k and positions(i) == m]
    assume(len(expected) == s)
    assert [conv.conv_transpose2d(np.ones((1, m, m, 1)), np.ones((k, k, 1, 1)), None, s, pad,
                                  e).shape[2] for e in range(s)] == expected


TAPS = st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=1, max_size=6,
                unique=True).map(lambda taps: tuple(sorted(taps)))


@settings(max_examples=100, deadline=None)
@given(TAPS, st.integers(1, 3), st.integers(1, 3), st.integers(1, 5), st.integers(1, 5),
       st.integers(1, 6), st.integers(1, 6), st.integers(1, 2))
def test_scatter_is_the_adjoint_of_gather(offsets, sh, sw, P, Q, H, W, C):
    """<gather(x), r> = <x, scatter(r)> for any taps, even where they fall outside x."""
    rng = np.random.default_rng(P + 10 * Q)
    x, r = rng.standard_normal((2, H, W, C)), rng.standard_normal((2, P, Q, len(offsets), C))
    rows = to_numpy(taps.gather(xp.asarray(x), offsets, (sh, sw), (P, Q)))
    for t, (i, j) in enumerate(offsets):  # and gather is what its docstring says
        for p, q in np.ndindex(P, Q):
            row, column = p * sh + i, q * sw + j
            inside = 0 <= row < H and 0 <= column < W
            np.testing.assert_array_equal(rows[:, p, q, t], x[:, row, column] if inside else 0)
    left = (rows * r).sum()
    back = to_numpy(taps.scatter(xp.asarray(r), offsets, (sh, sw), (H, W)))
    assert left == pytest.approx((x * back).sum(), abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.booleans(), min_size=15, max_size=15), st.integers(1, 6), st.integers(1, 6))
def test_masked_conv_is_conv_with_weights_set_to_zero(bits, h, w):
    mask = np.array(bits).reshape(3, 5)
    assume(mask.any())
    rng = np.random.default_rng(h + 10 * w)
    x, f, b = (rng.standard_normal(s) for s in ((2, h, w, 2), (3, 5, 2, 3), (3,)))
    f = Tensor(f, requires_grad=True)
    y = conv.masked_conv2d(x, f, mask, b)
    expected = conv.conv2d(x, f.numpy() * mask[..., None, None], b, padding=(1, 2))
    np.testing.assert_allclose(y.numpy(), expected.numpy(), atol=1e-12)
    y.sum().backward()
    assert (to_numpy(f.grad)[~mask] == 0).all() and y.shape == (2, h, w, 3)


def full_of_nan(shape, dtype, purpose):
    """What fast.memory.empty may give at its worst."""
    return xp.full(shape, np.nan, dtype)


@settings(max_examples=200, deadline=None)
@given(TAPS, st.sampled_from([(1, 1), (1, 1), (1, 2), (2, 1), (3, 2)]), st.integers(1, 5),
       st.integers(1, 5), st.integers(1, 6), st.integers(1, 6), st.sampled_from([1, 2, 5, 11]),
       st.sampled_from([1, 2, 5, 11]), st.integers(0, 3), st.sampled_from([1, 200, 10 ** 9]))
def test_products_are_the_plain_ones(offsets, stride, P, Q, H, W, C, K, N, block):
    """fast/products.py against the same names in taps.py, for any taps, in blocks of any size, and
    whatever the memory held before."""
    sh, sw = stride
    rng = np.random.default_rng(P + 10 * Q)
    x, g, matrix, b, c = (xp.asarray(rng.standard_normal(s)) for s in (
        (N, H, W, C), (N, P, Q, K), (len(offsets) * C, K), K, C))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(products, "BLOCK", block)
        patch.setattr(products, "empty", full_of_nan)
        for fast, plain in (
            (products.gather(x, offsets, (sh, sw), (P, Q)).copy(),
             taps.gather(x, offsets, (sh, sw), (P, Q))),
            (products.gather_matmul(x, matrix, offsets, (sh, sw), (P, Q), b),
             taps.gather_matmul(x, matrix, offsets, (sh, sw), (P, Q)) + b),
            (products.matmul_scatter(g, matrix, offsets, (sh, sw), (H, W), c),
             taps.matmul_scatter(g, matrix, offsets, (sh, sw), (H, W)) + c),
            (products.gather_t_matmul(x, g, offsets, (sh, sw)),
             taps.gather_t_matmul(x, g, offsets, (sh, sw))),
        ):
            np.testing.assert_allclose(to_numpy(fast), to_numpy(plain), atol=1e-11)


@pytest.mark.parametrize("index", [
    slice(2), slice(1, 3), (slice(None), slice(-2, None)), (slice(None), slice(1, 2), slice(None)),
    slice(None), slice(0, 4, 2), slice(None, None, -1), (slice(2), slice(1)), (Ellipsis, slice(1)),
    (1, slice(2)), (slice(None), None, slice(1, 3)), slice(3, 1)])
def test_placed_among_zeros(index, backend, rng):
    expected = np.zeros((4, 3, 2))
    expected[index] = g = rng.standard_normal(expected[index].shape)
    found = kernels.placed(xp.asarray(g), expected.shape, index)
    np.testing.assert_array_equal(to_numpy(found), expected)


@pytest.mark.host_only
def test_memory_is_used_again_for_one_purpose_dtype_and_thread():
    first = memory.empty((2, 3), np.dtype("f4"), "a")
    assert np.shares_memory(first, memory.empty((5,), np.dtype("f4"), "a"))
    with ThreadPoolExecutor(1) as pool:
        elsewhere = pool.submit(memory.empty, (2, 3), np.dtype("f4"), "a").result()
    for other in (memory.empty((2, 3), np.dtype("f8"), "a"), elsewhere,
                  memory.empty((2, 3), np.dtype("f4"), "b")):
        assert not np.shares_memory(first, other)


@pytest.mark.parametrize("dilation", [2, 3])
def test_dilated_taps_by_loops(dilation, rng):
    """The mask's middle stays where it is; the other taps move away from it."""
    mask = np.array([[1, 1, 1], [1, 1, 0], [0, 0, 0]], bool)
    x, f, b = (rng.standard_normal(s) for s in ((2, 7, 8, 2), (3, 3, 2, 3), (3,)))
    offsets = tuple((dilation * i, dilation * j)
                    for i, j in ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 0)))
    expected = loops.convolve_by_loops(x, f.reshape(9, 2, 3)[:5], offsets, (1, 1), (7, 8)) + b
    y = conv.masked_conv2d(x, f, mask, b, dilation)
    np.testing.assert_allclose(y.numpy(), expected, atol=1e-12)


def test_masked_work_is_not_done(monkeypatch):
    """A 3x3 filter of type B gathers 5 pixels for each position, not 9."""
    mask = np.array([[1, 1, 1], [1, 1, 0], [0, 0, 0]], bool)
    x, w = np.ones((1, 4, 4, 2)), Tensor(np.ones((3, 3, 2, 3)), requires_grad=True)
    seen, gather = [], products.gather
    monkeypatch.setattr(products, "gather", lambda *a: seen.append(gather(*a).shape) or gather(*a))
    conv.masked_conv2d(x, w, mask).sum().backward()
    assert seen and all(shape[3] == 5 for shape in seen)


def test_conv_transpose2d_is_the_adjoint_of_conv2d(backend, rng):
    """<conv2d(x), y> = <x, conv_transpose2d(y)> with the same w, also where sizes are rounded."""
    for h, s, k, p in ((7, 2, 3, 1), (8, 2, 3, 1), (8, 3, 2, 0)):
        x, w = rng.standard_normal((2, h, h, 3)), rng.standard_normal((k, k, 3, 4))
        y = conv.conv2d(x, w, None, s, p)
        g = rng.standard_normal(y.shape)
        extra = (h + 2 * p - k) % s
        back = conv.conv_transpose2d(g, w, None, s, p, extra).numpy()
        assert back.shape == x.shape
        assert (y.numpy() * g).sum() == pytest.approx((x * back).sum())


def test_layers_start_with_the_variance_that_keeps_the_signal(backend, rng):
    x = Tensor(rng.standard_normal((4, 16, 16, 8)).astype(np.float32))
    for layer in (nn.Conv2d(8, 64, 3, rng, padding=1), nn.ConvTranspose2d(8, 64, 4, rng, 2, 1),
                  nn.MaskedConv2d(8, 64, np.tri(3, dtype=bool), rng)):
        inner = layer(x).numpy()[:, 4:-4, 4:-4]
        assert inner.var() == pytest.approx(1 / 3, rel=0.2), layer


@pytest.mark.parametrize("call, words", [
    (lambda: conv.conv2d(np.ones((1, 4, 4, 2)), np.ones((3, 3, 1, 1))),
     r"given x \(1, 4, 4, 2\), w \(3, 3, 1, 1\); needs x \(N, H, W, C_in\), w"),
    (lambda: conv.conv2d(np.ones((1, 4, 2, 1)), np.ones((3, 3, 1, 1))),
     r"W: floor\(\(size \+ 2 \* padding - kernel\) / stride\) \+ 1 = "
     r"floor\(\(2 \+ 2 \* 0 - 3\) / 1\) \+ 1 = 0: the filter does not fit"),
    (lambda: conv.conv2d(np.ones((1, 4, 4, 1)), np.ones((3, 3, 1, 1)), stride=0), "stride >= 1"),
    (lambda: conv.conv2d(np.ones((1, 4, 4, 1)), np.ones((3, 3, 1, 2)), np.ones(3)),
     r"b \(3,\); needs .* b \(C_out\)"),
    (lambda: conv.conv_transpose2d(np.ones((1, 1, 1, 1)), np.ones((2, 2, 1, 1)), padding=1),
     r"\(1 - 1\) \* 1 \+ 2 - 2 \* 1 \+ 0 = 0; needs 1 or more"),
    (lambda: conv.conv_transpose2d(np.ones((1, 2, 2, 1)), np.ones((2, 2, 1, 1)), stride=2,
                                   output_padding=2), "output_padding < stride"),
    (lambda: conv.conv_transpose2d(np.ones((1, 2, 2, 3)), np.ones((2, 2, 3, 1))), "C_out, C_in"),
    (lambda: conv.masked_conv2d(np.ones((1, 4, 4, 1)), np.ones((3, 3, 1, 1)),
                                np.zeros((3, 3))), "0 taps"),
    (lambda: conv.masked_conv2d(np.ones((1, 4, 4, 1)), np.ones((2, 3, 1, 1)),
                                np.ones((2, 3))), "needs odd sizes"),
    (lambda: conv.masked_conv2d(np.ones((1, 3, 3, 1)), np.ones((3, 3, 1, 1)), np.ones((3, 3)),
                                None, 0), "dilation of 0; needs"),
])
def test_sizes_that_do_not_fit_are_explained(call, words):
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.parametrize("m, k, n", [(5000, 48, 64), (1000, 128, 32), (77, 3, 5), (4097, 32, 128),
                                     (300, 200, 200)])
def test_narrow_products_are_the_same_products(m, k, n, rng):
    a, b = rng.standard_normal((m, k)), rng.standard_normal((k, n))
    found = products.matmul(xp.asarray(a), xp.asarray(b), xp.empty((m, n)))
    np.testing.assert_allclose(to_numpy(found), a @ b, atol=1e-12)
