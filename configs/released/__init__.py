"""Values of the published code (USIS's repository) where they differ from the paper.

What has no field here and stays different:
- The published code takes R1 as an Adam step of its own, after the discriminator's; here it is a
  part of the discriminator's loss in every fourth step.
- It reads photo and label map of the same index in each step unless a flag is set, which no loss
  uses; here the two are always drawn independently.
- Its average of the generator has its full decay from the first step on; here it rises to it.
- Its decoder has transposed convolutions with spectral norm, instance norm, ReLU and dropout. It is
  in no optimiser, so that it stays as it was drawn; at 256x256 it crashes.
"""


def apply(config) -> None:
    """Changes a paper configuration to what the published code sets on every data set.

    Args:
      config: ConfigDict, changed in place.
    """
    # Paper: 8 or 32. The published default is 1; its README recommends 4.
    config.batch_size = 4
    # Paper: 1e-4. Published: 4e-4, and five times that for the discriminator.
    config.optimizer.segmenter_rate = 4e-4
    config.optimizer.discriminator_rate = 2e-3
    # Paper: every 16 steps gamma / 2 * 16 times the penalty, gamma 10. Published: every 4 steps 10
    # times the penalty, while the discriminator's adversarial loss L is multiplied by 4 in every
    # step: 4 * 4 L + 10 R1 in 4 steps. Here 4 steps make 4 L + gamma / 2 * 4 R1, so gamma 1.25
    # gives a quarter of the published sum. A common factor does not matter to Adam; the generator's
    # adversarial loss, which the published code does not multiply, keeps its weight 1.
    config.r1_interval = 4
    config.r1_gamma = 1.25
    # Ours: neighbours. Published: every (batch / 4)-th sample; with 4 photos there is one group.
    config.discriminator.stddev_grouping = "published"
