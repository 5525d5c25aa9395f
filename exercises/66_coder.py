"""66. One step of an arithmetic coder (write)

A message is an interval, which begins at `low` and is `width` wide. For the next symbol it is cut
into parts, one for each symbol in their order, as wide as that is probable; the symbol's own part
is the new interval.

low, width: exact fractions; symbol: 0, 1, ...; p: the probabilities of all symbols, a list of
fractions. Returns the new low and width.
Read docs/09-priors-and-bits.md, "A probability is a length".
"""


def encode(low, width, symbol, p):
    # return low, width
    raise NotImplementedError
