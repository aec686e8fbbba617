"""Losses of the three players."""

import torch
import torch.nn.functional as F
from torch import Tensor


def balanced_cross_entropy(logits: Tensor, label: Tensor, void: int | None) -> Tensor:
    """Cross-entropy weighted per class by the inverse pixel frequency, mean over all pixels.

    Args:
      logits: [B, K+1, H, W]; the class with id k is channel k + 1.
      label: int64 [B, H, W].
      void: id that weighs 0, or None.

    Returns:
      scalar.

    Source: paper §5.1, L_seg.
    """
    classes = logits.shape[1] - 1
    # A one-hot sum, not torch.bincount, which the meta device of `flops` does not have.
    counts = F.one_hot(label.flatten(), classes).sum(0).to(logits.dtype)
    if void is not None:
        counts[void] = 0
    present = counts > 0
    weights = label.numel() / (present.sum().clamp(min=1) * counts.clamp(min=1)) * present
    weights = torch.cat([weights.new_zeros(1), weights])
    return F.cross_entropy(logits, label + 1, weights, reduction="sum") / label.numel()


def scores_high(score: Tensor) -> Tensor:
    """softplus(-score), mean: real images for D, generated ones for G. Source: paper eq. 2, 5."""
    return F.softplus(-score).mean()


def scores_low(score: Tensor) -> Tensor:
    """softplus(score), mean: generated images for D. Source: paper eq. 5."""
    return F.softplus(score).mean()


def r1_penalty(score: Tensor, photo: Tensor) -> Tensor:
    """Mean over the batch of the squared norm of the score's gradient at `photo`.

    Args:
      score: [B, 1], computed from `photo`, which requires a gradient.
      photo: [B, 3, H, W].

    Returns:
      scalar, without the factor gamma / 2.

    Source: paper §5.1 (R1, Mescheder et al. 2018).
    """
    (gradient,) = torch.autograd.grad(score.sum(), photo, create_graph=True)
    return gradient.square().sum(dim=(1, 2, 3)).mean()
