"""Training with PyTorch Lightning: checkpoints that resume exactly, progress, TensorBoard, safetensors.

Needs the extra ``training``.
"""

try:
    import pytorch_lightning  # noqa: F401
    import safetensors  # noqa: F401
except ImportError as missing:
    raise ImportError(f'kutta.training needs {missing.name}: pip install "kutta[training]"') from missing

from kutta.training.batches import Batches
from kutta.training.figures import Figures
from kutta.training.fit import fit
from kutta.training.flow_matching import FlowMatching
from kutta.training.task import Task
from kutta.training.weights import load_weights, save_weights

__all__ = ["Batches", "Figures", "FlowMatching", "Task", "fit", "load_weights", "save_weights"]
