"""Deep operator networks: functions of functions and places."""

from kutta.operators.deeponet.deeponet import DeepONet
from kutta.operators.deeponet.field import FieldDeepONet
from kutta.operators.deeponet.pod import PODDeepONet
from kutta.operators.deeponet.sequence import SequenceDeepONet

__all__ = ["DeepONet", "FieldDeepONet", "PODDeepONet", "SequenceDeepONet"]
