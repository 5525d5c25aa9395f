"""The public names of CuPy, recorded, for tests/strict.py.

    python tests/cupy_names.py > tests/cupy_names.txt        where CuPy is installed (no GPU needed)

The first line of the file says which version.
"""

if __name__ == "__main__":
    import cupy

    print("cupy", cupy.__version__)
    print("\n".join(sorted(name for name in dir(cupy) if not name.startswith("_"))))
    print("\n".join(sorted(f"ndarray.{name}" for name in dir(cupy.ndarray)
                           if not name.startswith("_"))))
