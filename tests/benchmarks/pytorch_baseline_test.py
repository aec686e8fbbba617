"""The PyTorch twin against the published networks' vectors, and its procedures against each other.

Skipped without PyTorch (extra `torch`).
"""

import contextlib
import functools

import jax
import numpy as np
import pytest

from tests.support import vectors
from usis_jax.methods import train_state
from usis_jax.models import decoder

torch = pytest.importorskip("torch")

from benchmarks import plans  # noqa: E402
from benchmarks.pytorch_baseline import (  # noqa: E402  (needs torch)
    discriminator,
    flops,
    generator,
    haar,
    layers,
    losses,
    procedures,
    tuned,
)

torch.set_num_threads(1)
LIMIT = 1e-4
GENERATORS = ("spade_generator", "spade_generator_square")
PLAN = {
    "classes": 5, "void": 0, "height": 16, "width": 32, "batch": 4,
    "generator": {"width": 4, "multipliers": [4, 2, 2, 1], "z_dim": 6, "hidden": 8,
                  "kernel_size": 3, "noise": "mixed"},
    "segmenter": {"down": [8, 8], "up": [8, 8]},
    "discriminator": {"widths": [8, 8, 16], "dense": 8, "group": 4, "grid": [2, 4]},
    "decoder": {"width_max": 8, "weight": 1.0},
    "loss": {"segmentation": 1.0, "adversarial": 0.5},
    "rates": {"generator": 1e-3, "segmenter": 1e-3, "discriminator": 1e-3}, "betas": [0.0, 0.999],
    "r1_interval": 2, "r1_gamma": 1.0, "ema_decay": 0.99,
}  # fmt: skip


def check(case, limit=LIMIT, **ours):
    """Compare tensors with the stored ones of the same name."""
    stored = vectors.outputs(case)
    for name, value in ours.items():
        value = value.detach().numpy()
        error = vectors.error(vectors.thin(case, name, value), stored[name])
        assert error < limit, f"{case} {name}: relative error {error:.2e}"


def given(case):
    """Inputs as tensors; label maps int64."""
    return {
        name: torch.from_numpy(value.astype(np.int64) if value.dtype == np.int32 else value)
        for name, value in vectors.inputs(case).items()
    }


def filled(module, case):
    """The module with the case's weights: all of its parameters and buffers are among them."""
    arrays = {key: torch.from_numpy(value) for key, value in vectors.state_dict(case).items()}
    own = {
        key: value.shape
        for key, value in module.state_dict().items()
        if not key.endswith("num_batches_tracked")
    }
    assert own == {key: arrays[key].shape for key in own}
    module.load_state_dict(arrays, strict=False)
    return module


def one_hot(label, case):
    classes = vectors.options(case)["semantic_nc"]
    return torch.nn.functional.one_hot(label, classes).permute(0, 3, 1, 2).float()


@functools.cache
def loaded_discriminator(case="wavelet_discriminator"):
    return filled(discriminator.WaveletDiscriminator([256, 512, 512, 512, 512], (2, 4)), case)


# Leaky ReLUs of the first block whose input is so small (1e-7 and -7e-7 of a standard deviation
# near 1) that published rounding, not mathematics, decided its sign: case -> ((sample, channel,
# row, column), published slope). On the other side of the kink gradients differ, in double
# precision too.
SLOPES = {"wavelet_discriminator": ((0, 84, 17, 52), 0.2), "r1": ((1, 11, 10, 35), 1.0)}


@contextlib.contextmanager
def published_slope(case):
    """Context in which the leaky ReLU of SLOPES has its published slope."""
    unit, slope = SLOPES[case]

    def change(module, inputs, y):
        scale = torch.ones_like(y)
        scale[unit] = slope / (1.0 if y[unit] > 0 else 0.2)
        return y * scale

    hook = loaded_discriminator().convs[0].conv1[1].register_forward_hook(change)
    yield
    hook.remove()


def test_haar_and_wavelet_upsampling_agree():
    own = given("haar")
    y = haar.forward(own["x"])
    check("haar", y=y, inverse_of_y=haar.inverse(y), inverse_of_c=haar.inverse(own["c"]))
    check("wavelet_upsample", y=haar.upsample(given("wavelet_upsample")["x"]))


def test_blur_of_stride_two_agrees():
    check("resample", down=layers.Blur(1, stride=2)(given("resample")["x"]))


def test_spade_layer_and_its_gradients_agree():
    own = given("spade")
    layer = filled(layers.Spade(16, 15), "spade")
    label = one_hot(own["label"], "spade")
    s = torch.cat([own["z"][:, :, None, None].expand(-1, -1, *label.shape[2:]), label], dim=1)
    x = own["x"].requires_grad_()
    y = layer(x, s)
    y.backward(own["cotangent"])
    check("spade", y=y, dx=x.grad, **{"d:mlp_shared.0.weight": layer.mlp_shared[0].weight.grad})


@pytest.mark.parametrize("case", GENERATORS)
def test_generator_and_its_gradients_agree(case):
    own, options = given(case), vectors.options(case)
    network = filled(
        generator.SpadeGenerator(
            options["semantic_nc"], options["channels_G"], z_dim=options["z_dim"]
        ),
        case,
    )
    label = one_hot(own["label"], case)
    check(case, y_eval=network.eval()(label, own["z"]))
    y = network.train()(label, own["z"])
    y.backward(own["cotangent"])
    stored = [name for name in vectors.outputs(case) if name.startswith("d:")]
    named = dict(network.named_parameters())
    check(case, y_train=y, **{name: named[name[2:]].grad for name in stored})
    assert len(stored) == 4


def test_segmenter_and_its_gradient_agree():
    own = given("segmenter")
    network = filled(generator.Segmenter(7), "segmenter")
    check("segmenter", y_eval=network.eval()(own["x"]))
    x = own["x"].requires_grad_()
    y = network.train()(x)
    y.backward(own["cotangent"])
    check("segmenter", y_train=y, dx=x.grad)


def test_discriminator_and_its_gradient_agree():
    own = given("wavelet_discriminator")
    x = own["x"].requires_grad_()
    with published_slope("wavelet_discriminator"):
        score, features = loaded_discriminator()(x)
    (dx,) = torch.autograd.grad(score, x, own["cotangent"])
    check("wavelet_discriminator", y=score, dx=dx)
    assert [tuple(feature.shape[2:]) for feature in features] == [(16, 32), (8, 16), (4, 8), (2, 4)]


def test_r1_and_its_gradient_agree():
    x = given("r1")["x"].requires_grad_()
    network = loaded_discriminator()
    with published_slope("r1"):
        penalty = losses.r1_penalty(network(x)[0], x)
    (gradient,) = torch.autograd.grad(penalty, network.from_rgbs[0].conv[0].weight)
    check("r1", r1=penalty[None], **{"d:from_rgbs.0.conv.0.weight": gradient})


def test_losses_and_their_gradient_agree():
    own, void = given("losses"), vectors.options("losses")["dontcare"]
    logits = own["logits"].requires_grad_()
    loss = losses.balanced_cross_entropy(logits, own["label"], void)
    (gradient,) = torch.autograd.grad(loss, logits)
    check(
        "losses",
        balanced_ce=loss[None],
        dlogits=gradient,
        gan_real=torch.stack([losses.scores_high(x) for x in own["pred"]]),
        gan_fake=torch.stack([losses.scores_low(x) for x in own["pred"]]),
    )


def test_decoder_is_ours():
    """The published code has another one, so no vectors: the same weights in our Flax module."""
    channels = [8, 12, 16]
    random = np.random.default_rng(0)
    features = [
        random.normal(size=(2, width, 8 >> level, 16 >> level)).astype(np.float32)
        for level, width in enumerate(channels)
    ]
    twin = discriminator.WaveletDecoder(channels, 12)
    params = {
        f"conv_{number}": {"kernel": conv.weight.detach().numpy().transpose(2, 3, 1, 0)}
        for number, conv in enumerate(twin.convs)
    }
    params["to_wavelet"] = {
        "kernel": twin.to_wavelet.weight.detach().numpy().transpose(2, 3, 1, 0) * 50,
        "bias": twin.to_wavelet.bias.detach().numpy(),
    }
    twin.to_wavelet.weight.data *= 50  # out of the linear part of tanh
    ours = decoder.WaveletDecoder(12).apply(
        {"params": params}, [feature.transpose(0, 2, 3, 1) for feature in features]
    )
    y = twin([torch.from_numpy(feature) for feature in features]).detach().numpy()
    assert np.abs(y).max() > 0.5
    assert vectors.error(y.transpose(0, 2, 3, 1), ours) < LIMIT


@pytest.mark.parametrize("name", ["small", "quickstart"])
def test_twin_has_as_many_parameters_as_ours(name):
    settings, plan = plans.load(name)
    shapes = train_state.shapes(settings, plan["classes"])
    with torch.device("meta"):
        twin = procedures.build(plan)
    assert {
        key: sum(leaf.size for leaf in jax.tree.leaves(tree)) for key, tree in shapes.params.items()
    } == {key: sum(p.numel() for p in network.parameters()) for key, network in twin.items()}


def made(kind, **options):
    """A procedure with the weights of seed 0, whose noise depends on the player alone."""
    torch.manual_seed(0)
    procedure = kind(PLAN, procedures.build(PLAN), **options)
    seeds = {"generator": 1, "segmenter": 2, "discriminator": 2}

    def noise(player, label):
        torch.manual_seed(seeds[player])
        return procedures.draw_noise(PLAN, len(label), label.device)

    procedure.noise = noise
    return procedure


def batch():
    random = np.random.default_rng(0)
    photo = random.uniform(-1, 1, (4, 3, 16, 32)).astype(np.float32)
    label = random.integers(0, 5, (4, 4, 8)).repeat(4, 1).repeat(4, 2)
    return torch.from_numpy(photo), torch.from_numpy(label)


@pytest.mark.parametrize("options", [{}, {"channels_last": True}])
def test_tuned_step_is_the_published_one_on_a_shared_sample(options):
    """All losses of both, and the weights of G and S after the update; D's differ on purpose, as
    the published R1 is an Adam step of its own."""
    one, other = made(procedures.Published), made(tuned.Tuned, **options)
    wanted, ours = (p.step(*batch(), penalise=False) for p in (one, other))
    assert wanted.keys() == ours.keys() >= {"loss_reconstruction", "loss_segmenter"}
    for name, value in wanted.items():
        assert ours[name].item() == pytest.approx(value.item(), rel=LIMIT), name
    for player in one.networks:
        for name, value in one.networks[player].named_parameters():
            moved = dict(other.networks[player].named_parameters())[name]
            # Adam's first step has full length for any gradient: where that is rounding alone, as
            # of biases that batch normalisation takes away, it may go anywhere.
            if value.ndim > 1:
                assert (moved - value).abs().median() < 1e-6, (player, name)
    for a, b in zip(one.average.parameters(), other.average.parameters(), strict=True):
        assert a.ndim == 1 or (a - b).abs().median() < 1e-6


def test_penalty_of_both_procedures_agrees():
    """R1 is taken before D moves in the tuned step and after it in the published one."""
    one, other = made(procedures.Published), made(tuned.Tuned)
    one.optimisers["discriminator"].param_groups[0]["lr"] = 0.0
    wanted = one.step(*batch(), penalise=True)["r1"].item()
    assert other.step(*batch(), penalise=True)["r1"].item() == pytest.approx(wanted, rel=LIMIT)
    assert "r1" not in other.step(*batch(), penalise=False)


def touched(procedure):
    """Networks with gradients when each player's optimiser steps, over one step with R1."""
    found = {}

    def watch(player, step):
        found.setdefault(player, set()).update(
            name
            for name, network in procedure.networks.items()
            if any(p.grad is not None and p.requires_grad for p in network.parameters())
        )
        step()

    for player, optimiser in procedure.optimisers.items():
        optimiser.step = functools.partial(watch, player, optimiser.step)
    procedure.step(*batch(), penalise=True)
    return found


@pytest.mark.parametrize("attached", [False, True])
def test_published_backward_passes_fill_gradients_of_all_networks_in_their_graph(attached):
    more = {"generator"} if attached else set()
    assert touched(made(procedures.Published, attached=attached)) == {
        "generator": {"generator", "segmenter", "discriminator"},
        "segmenter": {"segmenter"} | more,
        "discriminator": {"discriminator", "decoder"} | more,
    }


def test_tuned_backward_passes_fill_own_gradients_only():
    procedure = made(tuned.Tuned)
    before = [p.clone() for p in procedure.networks["segmenter"].parameters()]
    assert touched(procedure) == {
        "generator": {"generator"},
        "segmenter": {"segmenter"},
        "discriminator": {"discriminator", "decoder"},
    }
    moved = procedure.networks["segmenter"].parameters()
    assert any((a != b).any() for a, b in zip(before, moved, strict=True))


def test_flops_are_those_counted_by_hand():
    """Two for each multiplication with addition; steps are the sums of their parts."""
    counted = flops.count(PLAN)
    x = torch.zeros(2, 3, 8, 8, device="meta", requires_grad=True)
    conv = torch.nn.Conv2d(3, 5, 3, padding=1, device="meta")
    forward = 2 * 2 * 64 * 3 * 5 * 9
    assert flops.of(lambda: conv(x)) == forward
    assert flops.of(lambda: conv(x).sum().backward()) == 3 * forward
    steps, parts = counted["steps"], counted["parts"]
    g, s, d = (parts[name] for name in ("generator", "segmenter", "discriminator"))
    decoder = parts["decoder, with D's forward"] - d // 3
    # A player's first convolution needs no gradient for its input, hence the few percent.
    assert steps["published"]["plain"] == pytest.approx(
        g + s + d + parts["generator, forward"] * 2 + s + 2 * d + decoder, rel=0.02
    )
    assert steps["published-attached"]["plain"] == pytest.approx(
        g + s + d + g + s + g + 2 * d + decoder, rel=0.02
    )
    assert steps["tuned"]["plain"] < steps["published"]["plain"] < steps["published"]["r1"]
