"""A method of two lines stands in for one other than USIS: train/ knows nothing of its networks."""

import collections
import json

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

import usis_jax
from tests.support import tiny_run
from usis_jax import methods
from usis_jax.distributed import mesh
from usis_jax.methods import train_state
from usis_jax.methods.method import Chart, Method, Metric
from usis_jax.ops import pixel_range
from usis_jax.train import run

Networks = collections.namedtuple("Networks", "generator critic")


class Palette(nn.Module):
    """A colour for each class."""

    classes: int

    @nn.compact
    def __call__(self, label, z, train=False):
        colours = self.param("colours", nn.initializers.ones, (self.classes, 3))
        return jnp.tanh(colours)[label]


def networks(settings, num_classes, axis_name="batch", kernels=None):
    return Networks(Palette(num_classes), nn.Dense(1))


def create(settings, num_classes):
    made = networks(settings, num_classes)
    params = {
        "generator": made.generator.init(jax.random.key(0), jnp.zeros((1, 1, 1), int), None),
        "critic": made.critic.init(jax.random.key(1), jnp.zeros((1, 3))),
    }
    params = {name: variables["params"] for name, variables in params.items()}
    pool = {"pool": {"images": jnp.zeros((2, 16, 16, 3))}}
    return train_state.TrainState(
        jnp.int32(0),
        jax.random.key_data(jax.random.key(settings.seed)),
        params,
        {"generator": {}, "critic": pool},
        {"both": optax.sgd(0.5).init(params)},
        jax.tree.map(jnp.copy, params["generator"]),
        {},
    )


def step(state, batch, *, settings, networks, void):
    def loss(params):
        image = networks.generator.apply({"params": params["generator"]}, batch["label"], None)
        real = pixel_range.to_float(batch["photo"]).mean((0, 1, 2))
        score = networks.critic.apply({"params": params["critic"]}, image.mean((1, 2)))
        return jnp.square(image - real).mean() + jnp.square(score).mean(), image

    (value, image), gradients = jax.value_and_grad(loss, has_aux=True)(state.params)
    updates, memory = optax.sgd(0.5).update(mesh.mean(gradients), state.opt_state["both"])
    params = optax.apply_updates(state.params, updates)
    pool = {"pool": {"images": jax.lax.pmean(image[:1].repeat(2, 0), mesh.AXIS)}}
    return state.replace(
        step=state.step + 1,
        params=params,
        opt_state={"both": memory},
        ema_params=params["generator"],
        collections=state.collections | {"critic": pool},
    ), {"loss_both": mesh.mean(value)}


TOY = Method(
    name="usis",
    metrics=(Metric("loss_both", "What it lowers", "both {:.2g}"),),
    charts=(Chart("Everything", "loss", (("loss_both", "both"),)),),
    networks=networks,
    create=create,
    shapes=lambda settings, num_classes: jax.eval_shape(lambda: create(settings, num_classes)),
    with_generator=train_state.with_generator,
    step=step,
)


def test_another_method_trains_resumes_measures_reports_and_generates(
    tmp_path, monkeypatch, capsys
):
    tiny_run.install(monkeypatch)
    monkeypatch.setattr(methods, "get", {"usis": TOY}.get)
    given = {"eval_interval": 3, "sample_interval": 3, "checkpoint_interval": 3}
    run.train(tiny_run.settings(steps=3, **given), tmp_path)
    assert "both" in capsys.readouterr().err
    summary = run.train(tiny_run.settings(steps=6, **given), tmp_path)
    assert summary["start_step"] == 3 and summary["metrics"].keys() == {"loss_both"}
    assert "swd" in summary["evaluation"] and "consistency_miou" not in summary["evaluation"]
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    losses = [row["loss_both"] for row in rows if "loss_both" in row]
    assert len(losses) == 6 and losses[-1] < losses[0]
    assert "Everything" in (tmp_path / "report.html").read_text()
    images = usis_jax.Generator.load(tmp_path)(np.ones((1, 16, 16), np.int32))
    assert images.shape == (1, 1, 16, 16, 3) and (images == images[0, 0, 0, 0]).all()
