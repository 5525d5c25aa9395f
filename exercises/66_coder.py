"""66. One step of an arithmetic coder (write)

A message is an interval, from `low` on and of this width. The next symbol cuts it into parts, one
for each symbol in their order, as wide as it is probable; its own part is what is left.

low, width: exact fractions; symbol: 0, 1, ...; p: the probabilities of all symbols, a list of
fractions. Returns the new low and width.
Read docs/09-priors-and-bits.md.
"""


def encode(low, width, symbol, p):
    # return low, width
    raise NotImplementedError
