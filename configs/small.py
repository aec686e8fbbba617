"""Networks and rates that two CPU cores carry; quickstart, camvid and faces start from here.

Differs from the paper's settings, which `configs/cityscapes.py` has:
- narrow networks, 4 upsamplings in the generator and the segmenter;
- 1x1 modulation (`spade_kernel`), which is a table of classes and nearly free;
- half of the noise differs from pixel to pixel (`noise`), without which narrow networks generate
  flat areas: textures then grow within hundreds of steps (measured on the embedded scenes);
- update rule "joint", which costs one pass through generator and segmenter instead of three (with
  some seeds the classes are learnt later, so the quickstart, which is short, uses "alternating");
- higher rates and a shorter average, for thousands of steps instead of hundreds of thousands;
- a weaker R1 penalty, since photos are smaller;
- a discriminator whose rate rises over 2,000 steps: at full rate from the first step on the
  generator followed it and forgot the label map (measured on CamVid, with a narrower segmenter:
  14 % of pixels read right at step 650, against 29 % with half the rate and three times the
  penalty); rising slowly it does no harm, and photos grow sharper than with the lower rate
  (measured on faces).

Command: none of its own; see quickstart, camvid and faces.
"""

import ml_collections

from configs import base


def get_config() -> ml_collections.ConfigDict:
    """Base with small networks and quick rates."""
    config = base.get_config()
    config.batch_size = 4
    config.update = "joint"
    config.r1_gamma = 0.3
    config.ema_decay = 0.999
    # Photos of this size are kept decoded in memory; threads would only take turns.
    config.data.threads = 0

    config.generator.width = 16
    config.generator.multipliers = (8, 8, 4, 4, 2, 1)
    config.generator.z_dim = 16
    config.generator.noise = "mixed"
    config.generator.spade_width = 32
    config.generator.spade_kernel = 1
    config.segmenter.down = (16, 32, 48, 64)
    config.segmenter.up = (48, 32, 24, 16)
    config.discriminator.channel_base = 2048
    config.discriminator.channel_max = 128
    config.discriminator.dense = 128
    config.decoder.width_max = 16

    config.optimizer.generator_rate = 1e-3
    config.optimizer.segmenter_rate = 1e-3
    config.optimizer.discriminator_rate = 2e-3
    config.optimizer.discriminator_warmup = 2000
    return config
