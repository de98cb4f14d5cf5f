"""Pipelines of diffusers with one line changed."""

import diffusers
import pytest
import torch
from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel
from PIL import Image

import kutta as kt
from kutta.compat import diffusers as faces
from tests.compat.diffusers._schedulers import F64, FREE, KINDS, STEPS, make
from tests.compat.diffusers.pipeline import guided_pipeline, inputs, small_unet


def pipeline():
    """A small random network that makes pictures of 16 by 16."""
    torch.manual_seed(0)
    sizes = {"block_out_channels": (8, 16), "norm_num_groups": 4, "layers_per_block": 1, "sample_size": 16}
    blocks = {"down_block_types": ("DownBlock2D", "AttnDownBlock2D"), "up_block_types": ("AttnUpBlock2D", "UpBlock2D")}
    unet = UNet2DModel(in_channels=3, out_channels=3, attention_head_dim=8, **sizes, **blocks)
    made = DDPMPipeline(unet=unet, scheduler=DDPMScheduler())
    made.set_progress_bar_config(disable=True)
    return made


def pictures(pipe, **options):
    return torch.from_numpy(
        pipe(batch_size=2, generator=torch.Generator().manual_seed(1), output_type="np", **options).images
    )


@pytest.mark.parametrize("kind", FREE)
def test_one_line_changed(kind):
    pipe, scheduler = pipeline(), make(kind)
    pipe.scheduler = type(scheduler).from_config(pipe.scheduler.config)
    first = pictures(pipe, num_inference_steps=6)
    assert first.shape == (2, 16, 16, 3) and bool(torch.isfinite(first).all())
    assert torch.equal(pictures(pipe, num_inference_steps=6), first)


@pytest.fixture(scope="module")
def unet():
    """A network with a condition, in float64."""
    return small_unet(8).to(F64)


@pytest.mark.parametrize("kind", KINDS)
def test_a_guided_pipeline_is_what_solve_does(kind, unet):
    pipe, given, own = guided_pipeline(unet), inputs(2, 8, F64), dict(make(kind).config)
    pipe.scheduler = KINDS[kind][0].from_config(pipe.scheduler.config, **{**own, "final_sigmas_type": "sigma_min"})
    found = pipe(**given, num_inference_steps=STEPS, guidance_scale=7.5)
    times, method = pipe.scheduler._nodes.t, pipe.scheduler.method
    problem = kt.DiffusionProblem(
        lambda x, t, condition: unet(x, t, encoder_hidden_states=condition).sample,
        pipe.scheduler.schedule,
        given["latents"],
        condition=given["prompt_embeds"],
        guidance=kt.diffusion.CFG(7.5, null=given["negative_prompt_embeds"]),
        t_span=(float(times[0]), float(times[-1])),
    )
    grid = {} if isinstance(method, kt.SolverSchedule) else {"grid": times}
    with torch.no_grad():
        expected = kt.solve(problem, method, **grid).y1
    assert torch.allclose(found, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("order", [1, 2])
def test_a_guided_pipeline_is_what_that_of_diffusers_does(order, unet):
    given, found = inputs(2, 8, F64), {}
    for kind, damping in (
        (diffusers.DPMSolverMultistepScheduler, {}),
        (faces.HeavyBallDPMSolverScheduler, {"damping": 1.0}),
    ):
        pipe = guided_pipeline(unet)
        pipe.scheduler = kind.from_config(pipe.scheduler.config, solver_order=order, **damping)
        found[kind] = pipe(**given, num_inference_steps=STEPS)
    theirs, ours = found.values()
    assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-4)  # their tables are in float32


def test_a_pipeline_is_saved_with_its_scheduler(tmp_path):
    pipe = pipeline()
    pipe.scheduler = faces.GHVBScheduler.from_config(pipe.scheduler.config, damping=0.9)
    pipe.save_pretrained(tmp_path)
    loaded = DDPMPipeline.from_pretrained(tmp_path)
    loaded.set_progress_bar_config(disable=True)
    assert isinstance(loaded.scheduler, faces.GHVBScheduler) and loaded.scheduler.config.damping == 0.9
    assert torch.equal(pictures(loaded, num_inference_steps=4), pictures(pipe, num_inference_steps=4))
    assert isinstance(loaded(num_inference_steps=2).images[0], Image.Image)


def test_the_extra_is_named_where_diffusers_is_missing(monkeypatch):
    import importlib
    import sys

    monkeypatch.setitem(sys.modules, "diffusers", None)
    monkeypatch.delitem(sys.modules, "kutta.compat.diffusers")
    with pytest.raises(ImportError, match=r'pip install "kutta\[diffusers\]"'):
        importlib.import_module("kutta.compat.diffusers")
