"""67. The same step, read back (write)

The reader knows a number inside the last interval, and the probabilities p of the next symbol given
those before it. In which part does the number lie? That is the symbol.

number, low, width: exact fractions, low <= number < low + width; p: a list of fractions with the
sum 1. Returns the symbol, 0, 1, ...
Read docs/09-priors-and-bits.md, "A probability is a length".
"""


def decode(number, low, width, p):
    raise NotImplementedError
