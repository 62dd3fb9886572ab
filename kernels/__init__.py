"""CUDA kernels for many ECG streams at once, loaded through CuPy.

Importing this package needs NumPy only; building a `CupyFir` or `CupyStft` needs CuPy.
"""

from .cupy_fir import CupyFir
from .stft_kernel import CupyStft

__all__ = ["CupyFir", "CupyStft"]
