"""The training step, as published (`Published`) and as a good PyTorch user would write it."""

import copy
import time

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.pytorch_baseline import losses
from benchmarks.pytorch_baseline.discriminator import WaveletDecoder, WaveletDiscriminator
from benchmarks.pytorch_baseline.generator import Segmenter, SpadeGenerator


def build(plan: dict) -> dict[str, nn.Module]:
    """The networks of a plan (see benchmarks.plans), in training mode.

    Returns:
      "generator", "segmenter", "discriminator" and, if the plan has one, "decoder".

    Source: paper §5.
    """
    g, d = plan["generator"], plan["discriminator"]
    networks = {
        "generator": SpadeGenerator(
            plan["classes"], g["width"], g["multipliers"], g["z_dim"], g["hidden"], g["kernel_size"]
        ),
        "segmenter": Segmenter(plan["classes"], **plan["segmenter"]),
        "discriminator": WaveletDiscriminator(d["widths"], d["grid"], d["dense"], d["group"]),
    }
    if plan["decoder"]:
        networks["decoder"] = WaveletDecoder(d["widths"][1:], plan["decoder"]["width_max"])
    return networks


def draw_noise(plan: dict, batch: int, device: torch.device) -> Tensor:
    """Standard normal noise: [B, Z] ("image") or [B, Z, H, W]; "mixed" is half and half."""
    channels, kind = plan["generator"]["z_dim"], plan["generator"]["noise"]
    if kind == "image":
        return torch.randn(batch, channels, device=device)
    z = torch.randn(batch, channels, plan["height"], plan["width"], device=device)
    if kind == "mixed":
        z[:, : channels // 2] = z[:, : channels // 2, :1, :1].clone()
    return z


class Procedure:
    """What both procedures share: networks, optimisers, average, and the parts' clock.

    Args:
      plan: sizes, weights and rates, see benchmarks.plans.
      networks: as of `build`.
      fused: Adam in one kernel a tensor instead of an operation at a time.
    """

    def __init__(self, plan: dict, networks: dict[str, nn.Module], fused: bool = False):
        self.plan, self.networks, self.steps = plan, networks, 0
        self.average = copy.deepcopy(networks["generator"])
        self.average.requires_grad_(False)
        self.seconds: dict[str, float] = {}
        players = {name: [name] for name in ("generator", "segmenter", "discriminator")}
        players["discriminator"].append("decoder")
        self.optimisers = {
            player: torch.optim.Adam(
                [p for name in own if name in networks for p in networks[name].parameters()],
                lr=plan["rates"][player],
                betas=plan["betas"],
                eps=1e-8,
                fused=fused,
            )
            for player, own in players.items()
        }

    def noise(self, player: str, label: Tensor) -> Tensor:
        """The noise of one pass of the generator."""
        return draw_noise(self.plan, len(label), label.device)

    def one_hot(self, label: Tensor) -> Tensor:
        """int64 [B, H, W] -> float32 [B, K, H, W]."""
        return F.one_hot(label, self.plan["classes"]).permute(0, 3, 1, 2).float().contiguous()

    def segmentation(self, logits: Tensor, label: Tensor) -> Tensor:
        """L_seg."""
        return losses.balanced_cross_entropy(logits, label, self.plan["void"])

    def penalty_weight(self) -> float:
        """Weight of the lazy penalty."""
        return 0.5 * self.plan["r1_gamma"] * self.plan["r1_interval"]

    def decay(self) -> float:
        """Decay of the average, rising to its full value as ours does."""
        return min(self.plan["ema_decay"], (self.steps + 1) / (self.steps + 10))

    def clock(self, part: str, began: float) -> float:
        """Adds the time since `began` to a part; returns the time now."""
        now = time.perf_counter()
        self.seconds[part] = self.seconds.get(part, 0.0) + now - began
        return now


class Published(Procedure):
    """The published step: G, then S, then D, each on a sample of its own; R1 as a step of its own.

    Every backward pass computes gradients for all networks that its graph holds, so G's fills those
    of S and D too.

    Args:
      plan, networks, fused: as of Procedure.
      attached: whether the images for S and D keep G's graph, so that their backward passes run
        through the generator as well.

    Source: paper §5.1; the published order of updates.
    """

    def __init__(
        self,
        plan: dict,
        networks: dict[str, nn.Module],
        attached: bool = False,
        fused: bool = False,
    ):
        super().__init__(plan, networks, fused)
        self.attached = attached

    def step(self, photo: Tensor, label: Tensor, penalise: bool) -> dict[str, Tensor]:
        """One update of every player.

        Args:
          photo: [B, 3, H, W] in [-1, 1].
          label: int64 [B, H, W].
          penalise: take the R1 step too.

        Returns:
          name -> loss.
        """
        began = time.perf_counter()
        one_hot = self.one_hot(label)
        metrics = self._generator(one_hot, label)
        began = self.clock("generator", began)
        metrics |= self._segmenter(one_hot, label)
        began = self.clock("segmenter", began)
        metrics |= self._discriminator(photo, one_hot, label)
        began = self.clock("discriminator", began)
        if penalise:
            metrics |= self._penalty(photo)
            began = self.clock("r1", began)
        with torch.no_grad():
            decay = self.decay()
            for average, own in zip(
                self.average.parameters(), self.networks["generator"].parameters(), strict=True
            ):
                average.copy_(average * decay + own * (1 - decay))
        self.clock("average", began)
        self.steps += 1
        return metrics

    def _update(self, player: str, loss: Tensor) -> None:
        for network in self.networks.values():
            network.zero_grad()
        loss.backward()
        self.optimisers[player].step()

    def _generate(self, one_hot: Tensor, label: Tensor, player: str) -> Tensor:
        with torch.set_grad_enabled(self.attached or player == "generator"):
            return self.networks["generator"](one_hot, self.noise(player, label))

    def _generator(self, one_hot, label):
        fake = self._generate(one_hot, label, "generator")
        loss_seg = self.segmentation(self.networks["segmenter"](fake), label)
        adversarial = losses.scores_high(self.networks["discriminator"](fake)[0])
        weights = self.plan["loss"]
        self._update(
            "generator", weights["segmentation"] * loss_seg + weights["adversarial"] * adversarial
        )
        return {"loss_segmentation": loss_seg, "loss_generator": adversarial}

    def _segmenter(self, one_hot, label):
        fake = self._generate(one_hot, label, "segmenter")
        loss = self.segmentation(self.networks["segmenter"](fake), label)
        self._update("segmenter", loss)
        return {"loss_segmenter": loss}

    def _discriminator(self, photo, one_hot, label):
        fake = self._generate(one_hot, label, "discriminator")
        weight = self.plan["loss"]["adversarial"]
        score, features = self.networks["discriminator"](photo)
        metrics = {"loss_real": weight * losses.scores_high(score)}
        fake_score, _ = self.networks["discriminator"](fake)
        metrics["loss_fake"] = weight * losses.scores_low(fake_score)
        loss = metrics["loss_real"] + metrics["loss_fake"]
        if "decoder" in self.networks:
            decoded = self.networks["decoder"](features)
            metrics["loss_reconstruction"] = F.l1_loss(decoded, photo)
            loss = loss + self.plan["decoder"]["weight"] * metrics["loss_reconstruction"]
        self._update("discriminator", loss)
        return metrics

    def _penalty(self, photo):
        photo = photo.detach().requires_grad_()
        score, _ = self.networks["discriminator"](photo)
        penalty = losses.r1_penalty(score, photo)
        self._update("discriminator", self.penalty_weight() * penalty)
        return {"r1": penalty}
