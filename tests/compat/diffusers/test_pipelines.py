"""Pipelines of diffusers with one line changed."""

import pytest
import torch
from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel
from PIL import Image

from kutta.compat import diffusers as faces
from tests.compat.diffusers._schedulers import FREE, make


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
