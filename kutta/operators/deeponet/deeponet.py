"""The deep operator network, ``G(u)(y) = sum_k b_k(u) t_k(y) + b_0``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from kutta.operators.deeponet.perceptron import Perceptron, SideBySide
from kutta.operators.deeponet.periodic import PeriodicFeatures
from kutta.operators.operator import check_counts

if TYPE_CHECKING:
    from jaxtyping import Float

Transform = Callable[[Tensor, Tensor, Tensor], Tensor]
# What outputs have in common: which of the two networks they share, and whether each has one of its own.
SHARING = ("none", "trunk", "branch", "split")


class DeepONet(nn.Module):
    """A function of a function and a place, from values of that function at fixed sensors.

        G_c(u)(y) = sum_k b_ck(u(x_1), ..., u(x_m)) t_ck(y) + b_0c,    k = 1..terms

    The *branch* ``b`` sees the values at the sensors, the *trunk* ``t`` the place. The trunk's last layer is followed
    by the activation, the branch's is not.

    Sensors stay where they are: other functions are evaluated there before they are given. Functions that vary on
    smaller lengths than those of the training are answered wrongly.

    Args:
        sensors: ``m``.
        dim: coordinates of a place.
        outputs: ``c``, how many functions are returned.
        terms: of each sum.
        branch_widths: of what lies between the branch's input and its output.
        trunk_widths: likewise of the trunk.
        nonlinearity: the name of the activation.
        stacked: whether each term has a branch of its own. There are more weights then, and errors are larger.
        sharing: what several outputs have in common: ``"none"``: each has a branch and a trunk of its own;
            ``"trunk"``: one trunk, whose functions all outputs share, and a branch that is split among them;
            ``"branch"``: the other way round; ``"split"``: one branch and one trunk, both split.
        periods: for each coordinate its period, or nothing; what is returned has these periods.
        waves: by how many waves the trunk sees a coordinate that has one.
        transform: for conditions that hold exactly: what it makes of ``(u, y, G(u)(y))`` is returned, such as
            ``u_0(y) + phi(y) G(u)(y)`` with ``phi`` zero where a solution is known to be ``u_0``. It is called with
            ``y (..., q)`` and ``G(u)(y) (n, P, c)``.

    Attributes:
        branch: from ``(n, m)`` to ``(n, terms)``, or ``(n, c terms)`` where it is not shared, the terms of an output
            one behind the other. It may be replaced by a module of one's own.
        trunk: from ``(..., q)`` to ``(..., terms)`` or ``(..., c terms)``, likewise.
        bias: ``b_0 (c,)``.

    Raises:
        ValueError: for sizes below 1, or another word for `sharing`.

    Source: Lu, Jin, Pang, Zhang, Karniadakis, Learning nonlinear operators via DeepONet based on the universal
    approximation theorem of operators, Nature Machine Intelligence 3, 2021, arXiv 1910.03193; kinds of several outputs
    and periodic features: Lu, Meng, Cai, Mao, Goswami, Zhang, Karniadakis, Computer Methods in Applied Mechanics and
    Engineering 393, 2022, arXiv 2111.05512.

    Example:
        >>> import torch, kutta as kt
        >>> model = kt.operators.DeepONet(sensors=100, dim=1, terms=40, branch_widths=(40,), trunk_widths=(40,))
        >>> u = torch.randn(32, 100)
        >>> model(u, torch.linspace(0.0, 1.0, 50)[:, None]).shape  # the same places for all functions
        torch.Size([32, 50])
        >>> model(u, torch.rand(32, 7, 1)).shape  # some of its own for each
        torch.Size([32, 7])

        A solution that is zero at time zero:

        >>> def from_rest(u, y, s):
        ...     return y[..., :1] * s
        >>> model = kt.operators.DeepONet(100, dim=2, transform=from_rest)
        >>> bool((model(u, torch.tensor([[0.0, 0.3]])) == 0.0).all())
        True
    """

    def __init__(
        self,
        sensors: int,
        dim: int = 1,
        outputs: int = 1,
        terms: int = 40,
        branch_widths: Sequence[int] = (40,),
        trunk_widths: Sequence[int] = (40,),
        nonlinearity: str = "relu",
        stacked: bool = False,
        sharing: str = "none",
        periods: Sequence[float | None] | None = None,
        waves: int = 2,
        transform: Transform | None = None,
    ):
        super().__init__()
        check_counts(sensors=sensors, dim=dim, outputs=outputs, terms=terms, waves=waves)
        check_counts(**{f"branch_widths[{at}]": width for at, width in enumerate(branch_widths)})
        check_counts(**{f"trunk_widths[{at}]": width for at, width in enumerate(trunk_widths)})
        if sharing not in SHARING:
            raise ValueError(f"sharing must be one of {', '.join(map(repr, SHARING))}; got {sharing!r}")
        self.sensors, self.dim, self.outputs, self.terms, self.transform = sensors, dim, outputs, terms, transform
        entries = checked_periods(periods, dim)
        self.features = PeriodicFeatures(entries, waves) if any(entries) else nn.Identity()
        seen = 2 * waves * sum(map(bool, entries)) + entries.count(None)
        of_branch = terms if sharing == "branch" else outputs * terms
        of_trunk = terms if sharing == "trunk" else outputs * terms

        def branch(count: int) -> nn.Module:
            return Perceptron((sensors, *branch_widths, count), nonlinearity)

        def trunk(count: int) -> nn.Module:
            return Perceptron((seen, *trunk_widths, count), nonlinearity, activate_last=True)

        # How many of these numbers come from the same network.
        in_trunk = terms if sharing == "none" else of_trunk
        in_branch = 1 if stacked else terms if sharing == "none" else of_branch
        self.branch = _networks(branch, of_branch, in_branch)
        self.trunk = _networks(trunk, of_trunk, in_trunk)
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, u: Float[Tensor, "n m"], y: Float[Tensor, "*n P q"]) -> Float[Tensor, "n P *c"]:
        """``G(u)(y)``.

        Args:
            u: values at the sensors.
            y: places, ``(P, q)``, the same for all functions; or ``(n, P, q)``, of each function its own. With the
                same places, branch and trunk run once for each function and place.

        Returns:
            ``(n, P)``, or ``(n, P, c)`` with several outputs.

        Raises:
            ValueError: for values of another number of sensors, or places that do not fit.
        """
        check_sensors(u, self.sensors)
        self._check_places(y, len(u))
        b = self.branch(u).unflatten(-1, (-1, self.terms))
        t = self.trunk(self.features(y)).unflatten(-1, (-1, self.terms))
        s = contracted(b, t).add_(self.bias)
        if self.transform is not None:
            s = self.transform(u, y, s)
        return s if self.outputs > 1 else s.squeeze(-1)

    def _check_places(self, y: Tensor, count: int) -> None:
        if y.shape[-1:] != (self.dim,) or y.dim() not in (2, 3) or (y.dim() == 3 and len(y) != count):
            raise ValueError(
                f"y must have the shape (P, {self.dim}) of places for all functions, or ({count}, P, {self.dim}) of "
                f"some for each of them; got {tuple(y.shape)}"
            )


def check_sensors(u: Tensor, sensors: int) -> None:
    """Refuse what are no values at so many sensors.

    Raises:
        ValueError: naming the shapes.
    """
    if u.dim() != 2 or u.shape[1] != sensors:
        raise ValueError(
            f"u must have the shape (n, {sensors}) of values at the {sensors} sensors; got {tuple(u.shape)}: evaluate "
            "the functions at the sensors that the network was trained with"
        )


def contracted(b: Tensor, t: Tensor) -> Tensor:
    """``sum_k b_ck t_ck`` of ``b (n, c or 1, p)`` and ``t (P, c or 1, p)`` or ``(n, P, c or 1, p)``: ``(n, P, c)``."""
    if t.dim() == 4:
        return torch.einsum("icp,ijcp->ijc", b, t)
    if b.shape[1] == t.shape[1] == 1:  # one product of matrices, without what einsum does to find that
        return (b.squeeze(1) @ t.squeeze(1).mT).unsqueeze(-1)
    return torch.einsum("icp,jcp->ijc", b, t)


def checked_periods(periods: Any, dim: int) -> tuple[float | None, ...]:
    """One for each coordinate.

    Raises:
        ValueError: for another number of them, or one that is not positive.
    """
    entries = (None,) * dim if periods is None else tuple(periods)
    if len(entries) != dim or any(one is not None and not one > 0.0 for one in entries):
        raise ValueError(f"periods must have a positive number or None for each of {dim} coordinates; got {periods!r}")
    return entries


def _networks(make: Callable[[int], nn.Module], count: int, each: int) -> nn.Module:
    """One network that returns so many numbers, or several where each of them returns some."""
    return make(count) if each == count else SideBySide(lambda: make(each), count // each)
