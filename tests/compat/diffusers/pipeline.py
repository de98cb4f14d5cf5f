"""A small pipeline with a condition and random weights."""

import torch
from diffusers import DDIMScheduler, DiffusionPipeline, UNet2DConditionModel

EMBEDDING = 32
CHANNELS = 4
# The noise schedule of Stable Diffusion.
TRAINED = DDIMScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012).config


class GuidedPipeline(DiffusionPipeline):
    """Latents from noise: what pipelines of Stable Diffusion do between the text encoder and the decoder."""

    def __init__(self, unet, scheduler):
        super().__init__()
        self.register_modules(unet=unet, scheduler=scheduler)
        self.set_progress_bar_config(disable=True)

    @torch.no_grad()
    def __call__(self, latents, prompt_embeds, negative_prompt_embeds, num_inference_steps=10, guidance_scale=7.5):
        embeds = torch.cat([negative_prompt_embeds, prompt_embeds])
        self.scheduler.set_timesteps(num_inference_steps, device=latents.device)
        latents = latents * self.scheduler.init_noise_sigma
        for t in self.progress_bar(self.scheduler.timesteps):
            given = self.scheduler.scale_model_input(torch.cat([latents, latents]), t)
            free, bound = self.unet(given, t, encoder_hidden_states=embeds, return_dict=False)[0].chunk(2)
            latents = self.scheduler.step(free + guidance_scale * (bound - free), t, latents, return_dict=False)[0]
        return latents


def small_unet(size):
    """A network for latents of `size` by `size`, with attention where they are four times smaller."""
    torch.manual_seed(0)
    return UNet2DConditionModel(
        sample_size=size,
        in_channels=CHANNELS,
        out_channels=CHANNELS,
        block_out_channels=(8, 16, 32),
        layers_per_block=1,
        norm_num_groups=8,
        cross_attention_dim=EMBEDDING,
        attention_head_dim=4,
        down_block_types=("DownBlock2D", "DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
    ).eval()


def guided_pipeline(unet):
    """A pipeline as it is before its scheduler is changed."""
    return GuidedPipeline(unet, DDIMScheduler.from_config(TRAINED))


def inputs(batch, size, dtype=torch.float32):
    """Noise, and embeddings of a prompt and of none, each of 8 tokens."""
    numbers = torch.Generator().manual_seed(1)
    shapes = {
        "latents": (CHANNELS, size, size),
        "prompt_embeds": (8, EMBEDDING),
        "negative_prompt_embeds": (8, EMBEDDING),
    }
    return {name: torch.randn(batch, *shape, generator=numbers, dtype=dtype) for name, shape in shapes.items()}
