"""The training step as a good PyTorch user would write it: only the gradients that are needed."""

import time

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.pytorch_baseline import losses
from benchmarks.pytorch_baseline.procedures import Procedure


class Tuned(Procedure):
    """G, then S and D on one fresh sample that both share (S's update leaves G as it is).

    Opponents are frozen while a player moves, images for S and D are generated without a graph, R1
    shares D's pass over the real images, Adam is fused and the average is one call.

    Args:
      plan, networks, fused: as of Procedure.
      channels_last: memory format of weights and activations.
      compiled: torch.compile of each network; D's pass under R1 stays eager, since compiled code
        has no second derivatives.
    """

    def __init__(
        self,
        plan: dict,
        networks: dict[str, nn.Module],
        channels_last: bool = False,
        compiled: bool = False,
        fused: bool = True,
    ):
        if channels_last:
            for network in networks.values():
                network.to(memory_format=torch.channels_last)
        super().__init__(plan, networks, fused)
        self.format = torch.channels_last if channels_last else torch.contiguous_format
        self.call = {
            name: torch.compile(network) if compiled else network
            for name, network in networks.items()
        }

    def step(self, photo: Tensor, label: Tensor, penalise: bool) -> dict[str, Tensor]:
        """One update of every player; arguments and result as of Published.step."""
        began = time.perf_counter()
        photo = photo.contiguous(memory_format=self.format)
        one_hot = self.one_hot(label).contiguous(memory_format=self.format)
        metrics = self._generator(one_hot, label)
        began = self.clock("generator", began)
        with torch.no_grad():
            fake = self.call["generator"](one_hot, self.noise("segmenter", label))
        began = self.clock("sample", began)
        metrics |= self._segmenter(fake, label)
        began = self.clock("segmenter", began)
        metrics |= self._discriminator(photo, fake, penalise)
        began = self.clock("discriminator, r1" if penalise else "discriminator", began)
        with torch.no_grad():
            torch._foreach_lerp_(
                list(self.average.parameters()),
                list(self.networks["generator"].parameters()),
                1 - self.decay(),
            )
        self.clock("average", began)
        self.steps += 1
        return metrics

    def _freeze_all_but(self, *players: str) -> None:
        for name, network in self.networks.items():
            network.requires_grad_(name in players)

    def _update(self, player: str, loss: Tensor) -> None:
        self.optimisers[player].zero_grad()
        loss.backward()
        self.optimisers[player].step()

    def _generator(self, one_hot, label):
        self._freeze_all_but("generator")
        fake = self.call["generator"](one_hot, self.noise("generator", label))
        loss_seg = self.segmentation(self.call["segmenter"](fake), label)
        adversarial = losses.scores_high(self.call["discriminator"](fake)[0])
        weights = self.plan["loss"]
        self._update(
            "generator", weights["segmentation"] * loss_seg + weights["adversarial"] * adversarial
        )
        return {"loss_segmentation": loss_seg, "loss_generator": adversarial}

    def _segmenter(self, fake, label):
        self._freeze_all_but("segmenter")
        loss = self.segmentation(self.call["segmenter"](fake), label)
        self._update("segmenter", loss)
        return {"loss_segmenter": loss}

    def _discriminator(self, photo, fake, penalise):
        self._freeze_all_but("discriminator", "decoder")
        weight = self.plan["loss"]["adversarial"]
        if penalise:
            photo = photo.detach().requires_grad_()
            score, features = self.networks["discriminator"](photo)
        else:
            score, features = self.call["discriminator"](photo)
        metrics = {"loss_real": weight * losses.scores_high(score)}
        fake_score, _ = self.call["discriminator"](fake)
        metrics["loss_fake"] = weight * losses.scores_low(fake_score)
        loss = metrics["loss_real"] + metrics["loss_fake"]
        if "decoder" in self.networks:
            decoded = self.call["decoder"](features)
            metrics["loss_reconstruction"] = F.l1_loss(decoded, photo.detach())
            loss = loss + self.plan["decoder"]["weight"] * metrics["loss_reconstruction"]
        if penalise:
            metrics["r1"] = losses.r1_penalty(score, photo)
            loss = loss + self.penalty_weight() * metrics["r1"]
        self._update("discriminator", loss)
        return metrics
