"""What a call takes."""

import tracemalloc

import pytest


def peak(call, error):
    """What a call that ends with this error takes, in bytes at once, and what the error says."""
    tracemalloc.start()
    try:
        with pytest.raises(error) as caught:
            call()
        return tracemalloc.get_traced_memory()[1], str(caught.value)
    finally:
        tracemalloc.stop()
