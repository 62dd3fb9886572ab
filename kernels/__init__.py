"""CUDA kernels for many ECG streams at once, loaded through CuPy.

Importing this package needs NumPy only; building a `CupyFir`, `CupyNet` or `CupyStft` needs CuPy.
"""

from .cupy_fir import CupyFir
from .cupy_net import CupyNet
from .network import Network
from .stft_kernel import CupyStft

__all__ = ["CupyFir", "CupyNet", "CupyStft", "Network"]
