"""A scheduler of diffusers that runs a plan."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from diffusers.configuration_utils import ConfigMixin
from diffusers.schedulers.scheduling_utils import KarrasDiffusionSchedulers, SchedulerMixin, SchedulerOutput
from torch import Tensor

from kutta.compat.diffusers.configuration import DEFAULTED, LEARNED, PREDICTIONS, translated
from kutta.compat.diffusers.run import Run, Stretch, stretches
from kutta.compat.diffusers.thresholding import Limit
from kutta.compat.diffusers.times import RULES, by_rule, given_sigmas, given_timesteps
from kutta.compat.diffusers.times import sigmas as sigmas_of
from kutta.compat.diffusers.training import TrainedFlow, betas, moved, schedule
from kutta.solvers.diffusion.levels.grids import Nodes
from kutta.solvers.diffusion.levels.schedules import as_float64
from kutta.solvers.diffusion.plans.noise import Noise
from kutta.solvers.diffusion.plans.plan import is_free
from kutta.solvers.diffusion.plans.sampler import Sampler


class PlanScheduler(SchedulerMixin, ConfigMixin):
    """What all schedulers of this package share; a class of one's own sets the attribute `method`.

    `set_timesteps` writes the plan of a sampler, a table of numbers in float64, unless it is the one it wrote last;
    `step` adds up what the table says.
    All that changes from step to step is in one object, which `set_timesteps` makes anew. `step` reads no value off a
    device, but for one where a run begins at a time that is no entry of `timesteps`. States are kept in float32 at
    least, and returned in the dtype of the model's output.

    A scheduler can begin in the middle of its times, by `set_begin_index` or by a first time that is an entry of
    `timesteps`: a history then begins there. The state given to `step` is the one that it goes on from, so it may be
    changed between steps; methods with momentum take such a change for movement.

    Args:
        num_train_timesteps: ``T``, the number of training steps.
        beta_start, beta_end, beta_schedule: variances added in the first and the last of them, and how they grow:
            ``"linear"``, ``"scaled_linear"`` (linear roots) or ``"squaredcos_cap_v2"``.
        trained_betas: those variances themselves, ``(T,)``.
        prediction_type: what the model returns: ``"epsilon"``, ``"sample"`` (the data), ``"v_prediction"`` or
            ``"flow_prediction"``.
        timestep_spacing, steps_offset: which training steps are taken; see `kutta.diffusion.TrainingSteps`.
        final_sigmas_type: where sampling ends: at no noise, ``"zero"``, or at that of the first training step,
            ``"sigma_min"``.
        use_karras_sigmas, use_exponential_sigmas, use_beta_sigmas: rules for sigma, from its largest to its smallest
            value, instead of training steps.
        rescale_betas_zero_snr: shift and scale the schedule so that almost no data is left at the end.
        use_flow_sigmas: the model was trained on the straight path ``alpha = 1 - t``, ``sigma = t``, and is told
            ``T t``.
        flow_shift: ``t`` becomes ``shift t / (1 + (shift - 1) t)``.
        flow_spacing: ``"inclusive"``, as in `FlowMatchEulerDiscreteScheduler`, whose configurations mean it, spaces the
            times of a flow evenly from 1 to the first training step, where the model is evaluated last. That step is
            shifted twice, as it is there, unless the shift is dynamic. With ``None`` `timestep_spacing` counts.
        shift_terminal: the times of a flow are stretched such that the model is last evaluated here.
        use_dynamic_shifting, time_shift_type: take the shift from `mu` of `set_timesteps`: it is ``exp(mu)``
            (``"exponential"``) or ``mu`` (``"linear"``).
        thresholding, dynamic_thresholding_ratio, sample_max_value: limit predicted data; see
            `kutta.compat.diffusers.thresholding.Limit`.
        variance_type: with ``"learned"`` and ``"learned_range"`` the second half of the model's channels is left out.

    Attributes:
        timesteps: what the model is told at each evaluation, on the device given to `set_timesteps`.
        sigmas: the noise there and at the end, on the host: ``sigma / alpha``, or for flows ``sigma``.
        num_inference_steps: the number of steps.
    """

    _compatibles = [one.name for one in KarrasDiffusionSchedulers]  # noqa: RUF012
    order = 1
    init_noise_sigma = 1.0

    method: Sampler  # a class of one's own sets it in `__init__`

    def sampler(self, nodes: Nodes) -> Sampler:
        """What writes the plan along some nodes."""
        return self.method

    @property
    def config(self) -> Any:
        """The options, as entries and as attributes."""
        return super().config

    @classmethod
    def from_config(cls, config: Any = None, return_unused_kwargs: bool = False, **options: Any) -> Any:
        """A scheduler with the options of another one, of this package or of diffusers.

        Raises:
            NotImplementedError: for options that change the noise or what the model is told, and are not known here.
            ValueError: for a configuration without betas that is not of a flow either.
        """
        config = translated(config, options) if isinstance(config, Mapping) else config
        return super().from_config(config, return_unused_kwargs, **options)

    def register_to_config(self, **options: Any) -> None:
        """Set options in the configuration.

        diffusers lists those left at their defaults, which `from_config` does not hand on. It counts positional
        arguments among them, and an option stays there that is set later; here they leave the list.
        """
        super().register_to_config(**options)
        known, listed = inspect.signature(type(self).__init__).parameters, self.config.get(DEFAULTED, ())
        left = [name for name in listed if name in known and self.config[name] is known[name].default]
        super().register_to_config(**{DEFAULTED: left})

    def prepare(self) -> None:
        """Set up what follows from the configuration alone."""
        exact = betas(self.config)
        self.schedule = schedule(self.config, exact)
        self.betas = exact.float()
        self.alphas = (1.0 - exact).float()
        self.alphas_cumprod = torch.cumprod(1.0 - exact, 0).float()
        self.num_inference_steps: int | None = None
        self.timesteps, self.sigmas = self._of_training()
        self._nodes: Nodes | None = None
        self._path: tuple[Stretch, ...] = ()
        self._planned: tuple[Any, ...] = ()
        self._run: Run | None = None
        self._begin_index: int | None = None

    def _of_training(self) -> tuple[Tensor, Tensor]:
        """The times and sigmas of all training steps, which stand where none are set."""
        steps = torch.arange(len(self) - 1, -1, -1, dtype=torch.float64)
        t = (steps + 1.0) / len(self) if self.is_flow else steps
        return self.schedule.model_time(t).float(), sigmas_of(self.schedule, t).float()

    @property
    def is_flow(self) -> bool:
        """Whether the model was trained on the straight path."""
        return isinstance(self.schedule, TrainedFlow)

    def __len__(self) -> int:
        """The number of training steps."""
        return len(self.betas)

    # ---------------------------------------------------------------------------------------------- the times

    def set_timesteps(
        self,
        num_inference_steps: int | None = None,
        device: Any = None,
        timesteps: Sequence[float] | Tensor | None = None,
        sigmas: Sequence[float] | Tensor | None = None,
        mu: float | None = None,
    ) -> None:
        """Choose the times, and forget all of a run.

        Args:
            num_inference_steps: the number of steps, where neither times nor sigmas are given.
            device: where `timesteps` is wanted.
            timesteps: what the model is told at the beginning of each step, decreasing.
            sigmas: the noise there instead, decreasing; a last one of zero is where the last step leads to. Those of
                flows are shifted.
            mu: the shift for ``use_dynamic_shifting``; without that it means nothing, and pipelines of flows give it
                all the same.

        Raises:
            ValueError: for times that do not fit, or none.
        """
        if sum(one is not None for one in (num_inference_steps, timesteps, sigmas)) != 1:
            raise ValueError("set_timesteps needs one of num_inference_steps, timesteps and sigmas")
        if timesteps is not None or sigmas is not None:
            self._refuse_rules("timesteps" if sigmas is None else "sigmas")
        nodes = self.nodes(num_inference_steps, timesteps, sigmas, self._shift(mu))
        if nodes.alpha[0] == 0.0 and self.config.prediction_type == "epsilon":
            raise ValueError(
                "where sampling begins there is only noise, and prediction_type='epsilon' says nothing about the data "
                "there: begin later by sigmas, or use a model that predicts the data, v or the flow"
            )
        asked = self._asked(nodes)
        if asked != self._planned:
            self._nodes, self._path, self._planned = nodes, self._cut(nodes), asked
        self._run = self._begin_index = None
        self._publish(self._path, nodes, device)

    def nodes(self, num_inference_steps: Any, timesteps: Any, sigmas: Any, shift: float) -> Nodes:
        """The nodes that the arguments of `set_timesteps` ask for, of which one is given."""
        if timesteps is not None:
            return given_timesteps(self.config, self.schedule, timesteps, shift)
        if sigmas is not None:
            return given_sigmas(self.config, self.schedule, sigmas, shift)
        return by_rule(self.config, self.schedule, num_inference_steps, shift)

    def _refuse_rules(self, given: str) -> None:
        for rule in RULES:
            if self.config[rule]:
                raise ValueError(f"{given} cannot be given with {rule}=True, which says where they lie")

    def _shift(self, mu: float | None) -> float:
        if mu is not None and not self.is_flow:
            raise ValueError("mu shifts the times of flows: it needs use_flow_sigmas=True")
        if not self.config.use_dynamic_shifting:
            return self.config.flow_shift
        if mu is None:
            raise ValueError("mu must be given to set_timesteps with use_dynamic_shifting=True")
        return math.exp(mu) if self.config.time_shift_type == "exponential" else mu

    def _asked(self, nodes: Nodes) -> tuple[Any, ...]:
        """All that a plan follows from: a pipeline that is called again with as many steps needs no other one."""
        ends_clean = bool(nodes.sigma[-1] == 0.0)
        options = self.config.prediction_type, self.config.thresholding
        return self.sampler(nodes), nodes.t.tolist(), ends_clean, *options

    def _cut(self, nodes: Nodes) -> tuple[Stretch, ...]:
        """What the sampler does along some nodes."""
        with torch.no_grad():
            plan = self.sampler(nodes).plan(nodes).fixed()
        if plan.evaluated[0] != 0:
            raise NotImplementedError(
                f"{type(self).__name__} would change the initial state before the model sees it, which a scheduler "
                "cannot: use kutta.solve"
            )
        if any(is_free(kind) for move in plan.moves for kind in move.predictions):
            raise NotImplementedError(
                f"{type(self).__name__} needs predictions without guidance beside those with it, and a scheduler is "
                "given one: use kutta.solve"
            )
        return stretches(plan, PREDICTIONS[self.config.prediction_type], self.config.thresholding)

    def _publish(self, path: tuple[Stretch, ...], nodes: Nodes, device: Any) -> None:
        told = torch.tensor([one.level.model_t for one in path], dtype=torch.float64)
        self.timesteps = told.to(torch.int64 if bool((told == told.round()).all()) else torch.float32)
        self._told = self.timesteps.tolist()
        self.timesteps = self.timesteps.to(device)
        noise = [one.level.sigma if self.is_flow else one.level.sigma / one.level.alpha for one in path]
        self.sigmas = torch.tensor([*noise, float(nodes.sigma[-1] if self.is_flow else nodes.kappa[-1])])
        self.num_inference_steps = nodes.steps

    # ------------------------------------------------------------------------------------------------- the run

    @property
    def step_index(self) -> int | None:
        """The place among `timesteps` of the next step; ``None`` before the first one."""
        return None if self._run is None else self._run.first + self._run.place

    @property
    def begin_index(self) -> int | None:
        """The place of the first step, where `set_begin_index` gave one."""
        return self._begin_index

    def set_begin_index(self, begin_index: int = 0) -> None:
        """Begin at a later one of `timesteps`."""
        self._begin_index = begin_index

    def step(
        self,
        model_output: Tensor,
        timestep: Any,
        sample: Tensor,
        generator: Any = None,
        return_dict: bool = True,
    ) -> SchedulerOutput | tuple[Tensor]:
        """From one evaluation of the model to the next.

        Args:
            model_output: of the model at `sample`; of its shape, and with learned variances more channels.
            timestep: what the model was told. It says where to begin, if `set_begin_index` was not called, and means
                nothing later.
            sample: the state.
            generator: of the noise, if there is any; or one for each sample.
            return_dict: return an object with the attribute `prev_sample` instead of a tuple.

        Raises:
            ValueError: before `set_timesteps`, after the last step, and for shapes that do not fit.
        """
        if not self._path:
            raise ValueError("there are no timesteps yet: call set_timesteps before step")
        if self.config.variance_type in LEARNED:
            model_output = model_output[:, : sample.shape[1]]
        if model_output.shape != sample.shape:
            raise ValueError(
                f"model_output must have the shape of sample, {tuple(sample.shape)}; got {tuple(model_output.shape)}"
            )
        if self._run is None:
            self._run = self._begun(timestep)
        if self._run.place == len(self._run.path):
            raise ValueError(f"all {len(self.timesteps)} steps have been taken: call set_timesteps for another run")
        dtype = torch.promote_types(sample.dtype, torch.float32)
        found = self._run.go(sample.to(dtype), model_output.to(dtype), Noise(generator)).to(model_output.dtype)
        return SchedulerOutput(prev_sample=found) if return_dict else (found,)

    def _begun(self, timestep: Any) -> Run:
        index = self.index_for_timestep(timestep) if self._begin_index is None else self._begin_index
        if not 0 <= index < len(self._path):
            raise ValueError(f"begin_index must be at least 0 and less than {len(self._path)}; got {index}")
        limit = Limit(self.config.dynamic_thresholding_ratio, self.config.sample_max_value)
        path = self._path if index == 0 else self._path_from(index)
        return Run(path, limit if self.config.thresholding else None, index)

    def _path_from(self, index: int) -> tuple[Stretch, ...]:
        """The same from a later time on, with a history that begins there."""
        assert self._nodes is not None
        rest, times = self._path[index:], self._nodes.t.tolist()
        if rest[0].level.t in times:
            path = self._cut(self._nodes.since(times.index(rest[0].level.t)))
            if [one.level.model_t for one in path] == [one.level.model_t for one in rest]:
                return path
        raise ValueError(
            f"{type(self).__name__} cannot begin at index {index} of its timesteps: it would evaluate the model at "
            "other times than those that are left"
        )

    def index_for_timestep(self, timestep: Any) -> int:
        """The place of a time among `timesteps`: of the last one, where the model is evaluated there twice.

        An entry of `timesteps` is known by where it lies in memory, without a look at its value. Of any other number
        it is the place of the nearest time, as numbers of few digits are not quite what they were.
        """
        if isinstance(timestep, Tensor) and _share_memory(timestep, self.timesteps):
            return int(timestep.storage_offset()) - int(self.timesteps.storage_offset())
        value = float(timestep)
        if not math.isfinite(value):
            raise ValueError(f"timestep must be a finite number; got {value}")
        return min(range(len(self._told)), key=lambda index: (abs(self._told[index] - value), -index))

    # ------------------------------------------------------------------------------------------- around the run

    def scale_model_input(self, sample: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """The state as the model wants it: as it is."""
        return sample

    def add_noise(self, original_samples: Tensor, noise: Tensor, timesteps: Any) -> Tensor:
        """``alpha x_0 + sigma z`` at given times.

        Args:
            original_samples: data, ``(B, ...)``.
            noise: standard normal numbers, of that shape.
            timesteps: what the model is told at the noise levels wanted: one, or ``(B,)``; any, not only those of
                `set_timesteps`. Those on the host are checked; those on another device are not read, and where they
                lie outside of the schedule the result is NaN.

        Raises:
            ValueError: for times on the host that lie outside of the schedule.
        """
        told = (timesteps if isinstance(timesteps, Tensor) else as_float64(timesteps)).reshape(-1)
        told = told.to(torch.promote_types(original_samples.dtype, torch.float32))
        last = len(self) if self.is_flow else len(self) - 1
        inside = (told >= 0) & (told <= last)
        if told.device.type == "cpu" and not bool(inside.all()):
            raise ValueError(f"timesteps must lie between 0 and {last}; got {told.tolist()[:8]}")
        told = moved(torch.where(inside, told, torch.nan), original_samples.device)
        shape = -1, *[1] * (original_samples.dim() - 1)
        alpha, sigma = (one.to(original_samples.dtype).reshape(shape) for one in self.schedule.factors(told))
        return alpha * original_samples + sigma * noise

    def scale_noise(self, sample: Tensor, timestep: Any, noise: Tensor) -> Tensor:
        """`add_noise` under the name, and with the order of arguments, that pipelines of flows use."""
        return self.add_noise(sample, noise, timestep)


def _share_memory(one: Tensor, other: Tensor) -> bool:
    return one.untyped_storage().data_ptr() == other.untyped_storage().data_ptr()
