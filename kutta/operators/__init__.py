"""Neural operators: networks that map fields to fields, and methods for `kutta.solve` when they are trained."""

from kutta.operators import data, metrics, online
from kutta.operators.baselines.persistence import Persistence
from kutta.operators.baselines.pod_regression import PODRegression
from kutta.operators.cno import CNO
from kutta.operators.comparison.coarsened import Coarsened
from kutta.operators.comparison.compare import compare
from kutta.operators.constraints.conservation_projection import ConservationProjection
from kutta.operators.constraints.estimated_error import EstimatedError
from kutta.operators.constraints.joint_experts import JointExperts
from kutta.operators.constraints.mixture_of_experts import ConstrainedBasis, MixtureOfExperts
from kutta.operators.constraints.prediction import Prediction
from kutta.operators.constraints.routing.boxes import Boxes
from kutta.operators.constraints.routing.gate import Gate
from kutta.operators.constraints.soft_constraint import SoftConstraint
from kutta.operators.constraints.training import train_on_equation
from kutta.operators.deeponet import DeepONet, FieldDeepONet, PODDeepONet, SequenceDeepONet
from kutta.operators.ensemble import Band, Ensemble
from kutta.operators.exporting import export_onnx
from kutta.operators.factorised_fno import FactorisedFNO
from kutta.operators.fno import FNO
from kutta.operators.graphs.graph import Graph
from kutta.operators.graphs.graph_fixed_point import GraphFixedPoint
from kutta.operators.learning import evaluate, train
from kutta.operators.mgno import MgNO
from kutta.operators.normalisation import Normalisation
from kutta.operators.operator import Operator
from kutta.operators.saving import load, save
from kutta.operators.scope import Scope
from kutta.operators.stagger.neural_stagger import NeuralStagger
from kutta.operators.stagger.scheme_residual import SchemeResidual
from kutta.operators.surrogate.calibration import Calibration
from kutta.operators.surrogate.surrogate import Surrogate
from kutta.operators.trained_operator import TrainedOperator
from kutta.operators.transform_once.select_modes import Selection, select_modes
from kutta.operators.transform_once.t1 import T1
from kutta.operators.transform_once.t1u import T1U
from kutta.operators.unet import UNet

__all__ = [
    "CNO",
    "FNO",
    "T1",
    "T1U",
    "Band",
    "Boxes",
    "Calibration",
    "Coarsened",
    "ConservationProjection",
    "ConstrainedBasis",
    "DeepONet",
    "Ensemble",
    "EstimatedError",
    "FactorisedFNO",
    "FieldDeepONet",
    "Gate",
    "Graph",
    "GraphFixedPoint",
    "JointExperts",
    "MgNO",
    "MixtureOfExperts",
    "NeuralStagger",
    "Normalisation",
    "Operator",
    "PODDeepONet",
    "PODRegression",
    "Persistence",
    "Prediction",
    "SchemeResidual",
    "Scope",
    "Selection",
    "SequenceDeepONet",
    "SoftConstraint",
    "Surrogate",
    "TrainedOperator",
    "UNet",
    "compare",
    "data",
    "evaluate",
    "export_onnx",
    "load",
    "metrics",
    "online",
    "save",
    "select_modes",
    "train",
    "train_on_equation",
]
