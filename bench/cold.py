"""From nothing to the first answer, as a process of its own: ``python -m bench.cold WAY FILE``.

It prints 'answered' and stays until its input closes, so that its memory can be measured. Only
the chosen way is imported.
"""

from __future__ import annotations

import sys

FS = 360


def ekg(artifacts: str) -> None:
    import numpy as np

    from runtime import Detector

    Detector.load(artifacts, provider="cpu").predict(np.zeros(FS, dtype=np.float32))


def onnxruntime(file: str) -> None:
    import numpy as np
    from onnxruntime import InferenceSession

    session = InferenceSession(file, providers=["CPUExecutionProvider"])
    size = session.get_inputs()[1].shape[1]
    session.run(
        None,
        {
            "ecg": np.zeros((1, FS), dtype=np.float32),
            "carry": np.zeros((1, size), dtype=np.float32),
        },
    )


def torch(weights: str) -> None:
    import numpy as np
    import torch as pytorch

    from training import dsp_cpu
    from training.model import EkgNet, deployed

    net = deployed(EkgNet())
    net.load_state_dict(pytorch.load(weights, weights_only=True))
    filtered, _ = dsp_cpu.fir_filter(np.zeros((1, FS)), dsp_cpu.taps())
    with pytorch.inference_mode():
        net.cnn(
            pytorch.from_numpy(filtered.astype(np.float32)), pytorch.zeros(1, net.cnn.carry_size)
        )


if __name__ == "__main__":
    {"ekg": ekg, "onnxruntime": onnxruntime, "torch": torch}[sys.argv[1]](sys.argv[2])
    print("answered", flush=True)
    sys.stdin.read()
