"""The gas flow of a turbocharged diesel engine as a mean-value model, with our own parameters.

Values are means over working cycles, so that states change smoothly. Air comes through the compressor into the intake
manifold, from there with fuel through the cylinders into the exhaust manifold, and leaves through the turbine, which
drives the compressor, or goes back through the valve of the exhaust gas recirculation (EGR).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from kutta.operators.data.random_fields import random_functions
from kutta.problems import EnsembleProblem, ODEProblem
from kutta.solve import solve
from kutta.solvers.rosenbrock import Rodas5P

if TYPE_CHECKING:
    from jaxtyping import Float

STATES = ("p_im", "p_em", "X_im", "X_em", "omega", "egr1", "egr2", "vgt")
INPUTS = ("speed", "fuel", "egr", "vgt")
# Of each input the least and the largest value of `driving`: 1/min, mg a cycle, and openings.
RANGES = ((900.0, 1800.0), (60.0, 180.0), (0.0, 0.7), (0.35, 1.0))


class Flows(NamedTuple):
    """Flows of mass in kg/s, the temperature of the exhaust in K, and the powers of the charger in W.

    Attributes:
        compressor: air into the intake manifold.
        egr: exhaust back into it.
        engine_in: gas into the cylinders.
        fuel: likewise.
        engine_out: exhaust out of them.
        turbine: exhaust through the turbine.
        exhaust: the temperature in the exhaust manifold.
        driving: power of the turbine after friction.
        driven: power that the compressor takes.
    """

    compressor: Tensor
    egr: Tensor
    engine_in: Tensor
    fuel: Tensor
    engine_out: Tensor
    turbine: Tensor
    exhaust: Tensor
    driving: Tensor
    driven: Tensor


@dataclass(frozen=True)
class DieselEngine:
    """A mean-value model with eight states, of a six-cylinder engine of ten litres.

        p_im'  = R T_im / V_im (W_c + W_egr - W_ei)
        p_em'  = R T_em / V_em (W_eo - W_t - W_egr)
        X_im'  = R T_im / (p_im V_im) ((X_em - X_im) W_egr + (X_a - X_im) W_c)
        X_em'  = R T_em / (p_em V_em) (X_e - X_em) W_eo
        omega' = (P_t eta_m - P_c) / (J omega)
        egr1'  = (u_egr - egr1) / tau_1,  egr2' = (u_egr - egr2) / tau_2,  vgt' = (u_vgt - vgt) / tau_vgt

    Pressures are in Pa, ``X`` are mass fractions of oxygen, ``omega`` is in rad/s. The EGR valve stands at
    ``k egr1 - (k - 1) egr2``, which overshoots. Inputs ``(speed, fuel, u_egr, u_vgt)`` are in 1/min, mg a cycle, and
    openings from 0 to 1; delays of the actuators are in the inputs, see `delayed`.

    The numbers are a plausible engine, and no real one.

    Source of the structure: Wahlström, Eriksson, Modelling diesel engines with a variable-geometry turbocharger and
    exhaust gas recirculation by optimization of model parameters for capturing non-linear system dynamics, Proceedings
    of the Institution of Mechanical Engineers, Part D, 225, 2011.

    Example:
        >>> import torch, kutta as kt
        >>> engine = kt.operators.data.DieselEngine()
        >>> inputs = torch.tensor([[1200.0, 120.0, 0.2, 0.6]], dtype=torch.float64)
        >>> flows = engine.flows(engine.steady(inputs), inputs)
        >>> bool((flows.compressor + flows.egr - flows.engine_in).abs() < 1e-8)
        True
    """

    gas_constant: float = 287.0  # J/(kg K), of air and of exhaust
    heat_air: float = 1005.0  # J/(kg K), at constant pressure
    heat_exhaust: float = 1150.0
    exponent_air: float = 0.286  # (gamma - 1) / gamma
    exponent_exhaust: float = 0.25
    ambient_pressure: float = 1.013e5  # Pa
    ambient_temperature: float = 298.0  # K
    ambient_oxygen: float = 0.2314
    intake_temperature: float = 310.0  # K, behind the coolers of air and of EGR
    intake_volume: float = 0.022  # m^3
    exhaust_volume: float = 0.018
    displacement: float = 0.0101  # m^3, all cylinders
    cylinders: int = 6
    compression: float = 17.0  # largest volume of a cylinder by the smallest
    filling: float = 0.94  # of cylinders, with the same pressure in both manifolds
    heating_value: float = 4.29e7  # J/kg
    heat_in_exhaust: float = 0.36  # part of the fuel's
    oxygen_to_fuel: float = 3.36  # kg of oxygen that burns 1 kg of fuel
    egr_area: float = 3.2e-4  # m^2, of the open valve
    egr_choked: float = 0.65  # ratio of pressures below which the flow through it does not grow
    egr_overshoot: float = 1.8  # k
    egr_times: tuple[float, float] = (0.05, 0.14)  # s
    turbine_area: float = 0.85e-3  # m^2, of open vanes
    turbine_closed: float = 0.25  # part of it that stays open
    turbine_exponent: float = 2.6
    turbine_efficiency: float = 0.7  # with that of the shaft
    vgt_time: float = 0.08  # s
    wheel_radius: float = 0.04  # m, of the compressor
    inertia: float = 2.0e-4  # kg m^2
    compressor_efficiency: float = 0.72
    compressor_flow: float = 0.14  # half axes of the ellipse between the flow and the rise of pressure, both
    compressor_head: float = 1.25  # without dimension
    delays: tuple[int, int, int, int] = (0, 0, 1, 1)  # samples until an input acts

    def flows(self, state: Float[Tensor, "*n 8"], inputs: Float[Tensor, "*n 4"]) -> Flows:
        """What flows at a state."""
        p_im, p_em, _, _, omega, egr1, egr2, vgt = state.unbind(-1)
        speed, dose, _, _ = inputs.unbind(-1)
        engine_in = self._filling(p_im, p_em) * p_im * speed * self.displacement
        engine_in = engine_in / (120.0 * self.gas_constant * self.intake_temperature)
        fuel = 1e-6 / 120.0 * dose * speed * self.cylinders
        engine_out = engine_in + fuel
        heat = self.heat_in_exhaust * self.heating_value * fuel / (self.heat_exhaust * engine_out)
        exhaust = self.intake_temperature + heat
        valve = self.egr_overshoot * egr1 - (self.egr_overshoot - 1.0) * egr2
        turbine = self._turbine(p_em, exhaust, vgt)
        drop = 1.0 - (self.ambient_pressure / p_em) ** self.exponent_exhaust
        head = self.heat_air * self.ambient_temperature * ((p_im / self.ambient_pressure) ** self.exponent_air - 1.0)
        compressor = self._compressor(head, omega)
        return Flows(
            compressor,
            self._egr(p_im, p_em, exhaust, valve),
            engine_in,
            fuel,
            engine_out,
            turbine,
            exhaust,
            self.turbine_efficiency * turbine * self.heat_exhaust * exhaust * drop,
            compressor * head / self.compressor_efficiency,
        )

    def slope(self, state: Float[Tensor, "*n 8"], inputs: Float[Tensor, "*n 4"]) -> Tensor:
        """The time derivative of a state."""
        p_im, p_em, x_im, x_em, omega, egr1, egr2, vgt = state.unbind(-1)
        _, _, u_egr, u_vgt = inputs.unbind(-1)
        w = self.flows(state, inputs)
        intake = self.gas_constant * self.intake_temperature / self.intake_volume
        exhaust = self.gas_constant * w.exhaust / self.exhaust_volume
        burnt = (w.engine_in * x_im - self.oxygen_to_fuel * w.fuel).clamp_min(0.0)
        parts = [
            intake * (w.compressor + w.egr - w.engine_in),
            exhaust * (w.engine_out - w.turbine - w.egr),
            intake / p_im * ((x_em - x_im) * w.egr + (self.ambient_oxygen - x_im) * w.compressor),
            exhaust / p_em * (burnt - x_em * w.engine_out),
            (w.driving - w.driven) / (self.inertia * omega),
            (u_egr - egr1) / self.egr_times[0],
            (u_egr - egr2) / self.egr_times[1],
            (u_vgt - vgt) / self.vgt_time,
        ]
        return torch.stack(parts, -1)

    def residual_gas(self, state: Float[Tensor, "*n 8"]) -> Tensor:
        """The fraction of exhaust that stays in the cylinders: it fills their smallest volume, and expands."""
        ratio = (state[..., 1] / state[..., 0]) ** (1.0 - self.exponent_exhaust)
        return ratio / self.compression

    def steady(self, inputs: Float[Tensor, "n 4"], after: float = 200.0) -> Tensor:
        """The state where constant inputs lead, ``(n, 8)``, from any start in so many seconds."""
        start = inputs.new_tensor([1.8e5, 1.9e5, 0.2, 0.15, 9e3, 0.0, 0.0, 0.0]).repeat(len(inputs), 1)
        start[:, 5:] = inputs[:, [2, 2, 3]]
        problem = EnsembleProblem(
            lambda t, state, held: self.slope(state, held), start, (0.0, after), args=(inputs,), vectorized=True
        )
        return solve(problem, Rodas5P(), rtol=1e-9, atol=1e-10).y1

    def simulate(self, inputs: Float[Tensor, "n times 4"], start: Float[Tensor, "n 8"], step: float = 0.1) -> Tensor:
        """States at all samples, by `kutta.solve`.

        Args:
            inputs: at the samples, after their delays; linear between them.
            start: the state at the first sample.
            step: seconds between samples.

        Returns:
            ``(n, times, 8)``.
        """
        last = inputs.shape[1] - 1

        def slope(t: Tensor, state: Tensor) -> Tensor:
            before = (t / step).floor().clamp(0, last - 1)
            first, second = (inputs[:, before.long() + shift] for shift in (0, 1))
            return self.slope(state, torch.lerp(first, second, t / step - before))

        times = step * torch.arange(last + 1, dtype=torch.float64)
        return solve(ODEProblem(slope, start, (0.0, step * last)), save_at=times, rtol=1e-7, atol=1e-8).ys.movedim(0, 1)

    def delayed(self, inputs: Float[Tensor, "n times 4"]) -> Tensor:
        """Inputs as they act, in whole samples later than they are given; the first one has been there before."""
        times = torch.arange(inputs.shape[1])
        columns = [inputs[:, (times - delay).clamp_min(0), which] for which, delay in enumerate(self.delays)]
        return torch.stack(columns, -1)

    def _filling(self, p_im: Tensor, p_em: Tensor) -> Tensor:
        """The volumetric efficiency: residual gas takes the room of fresh one."""
        left = (p_em / p_im) ** (1.0 - self.exponent_exhaust)
        return self.filling * (self.compression - left) / (self.compression - 1.0)

    def _egr(self, p_im: Tensor, p_em: Tensor, exhaust: Tensor, valve: Tensor) -> Tensor:
        """The flow through the valve, a parabola in the ratio of pressures, and never backwards."""
        ratio = (p_im / p_em).clamp(self.egr_choked, 1.0)
        through = 1.0 - ((1.0 - ratio) / (1.0 - self.egr_choked) - 1.0) ** 2
        area = self.egr_area * valve * (2.0 - valve)
        return area * p_em * through / (self.gas_constant * exhaust).sqrt()

    def _turbine(self, p_em: Tensor, exhaust: Tensor, vgt: Tensor) -> Tensor:
        ratio = self.ambient_pressure / p_em
        through = (1.0 - ratio**self.turbine_exponent).clamp_min(1e-6).sqrt()
        area = self.turbine_area * (self.turbine_closed + (1.0 - self.turbine_closed) * vgt)
        return area * p_em * through / (self.gas_constant * exhaust).sqrt()

    def _compressor(self, head: Tensor, omega: Tensor) -> Tensor:
        """The flow for a rise of pressure: both without dimension lie on an ellipse."""
        rise = 2.0 * head / (self.wheel_radius * omega) ** 2
        part = (1.0 - (rise.clamp_min(0.0) / self.compressor_head) ** 2).clamp_min(1e-4).sqrt()
        volume = torch.pi * self.wheel_radius**3 * omega * self.compressor_flow * part
        return volume * self.ambient_pressure / (self.gas_constant * self.ambient_temperature)


def driving(
    count: int, samples: int, step: float = 0.1, scale: float = 2.0, generator: torch.Generator | None = None
) -> Tensor:
    """Random inputs, smooth in time, within `RANGES`.

    Args:
        count: of drives.
        samples: of each.
        step: seconds between samples.
        scale: seconds on which inputs vary.
        generator: where the numbers come from; by default PyTorch's global one.

    Returns:
        ``(count, samples, 4)``, each value as likely as any other in its range.
    """
    end = step * (samples - 1)
    drawn = random_functions(count * len(INPUTS), scale, 0.0, end, generator=generator)
    values = drawn(torch.linspace(0.0, end, samples, dtype=torch.float64)).unflatten(0, (count, len(INPUTS))).mT
    low, high = torch.tensor(RANGES, dtype=torch.float64).unbind(-1)
    return low + (high - low) * torch.special.ndtr(values)
