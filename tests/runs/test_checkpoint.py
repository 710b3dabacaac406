"""Checkpoints: what comes back is what was written, or the checkpoint before it, or one line."""

import logging
import math
import os
import pickle
import random

import numpy as np
import pytest
import torch

from learning_to_learn.errors import UserError
from learning_to_learn.runs.checkpoint import (
    BEST,
    CHECKPOINT,
    CHECKSUM,
    DAMAGED,
    PREVIOUS,
    DamagedCheckpoint,
    best_checkpoint,
    checksum,
    load_checkpoint,
    restore,
    resume_checkpoint,
    save_checkpoint,
)
from learning_to_learn.training.learner import MetaLearner
from learning_to_learn.training.sequences import MetaData
from tests.helpers import job

CARRIED = ("family.carry_state=true", "arch.gradient=rtrl", "arch.layers=[{memory_cell: 2, neuron: 2}]", "trainer.average=0.9")


def content_of(learner):
    """A checksum over everything that a checkpoint puts into a learner."""
    return checksum({"state_dict": learner.state_dict(), "learning": learner.learning_state()})


def forge(path, change):
    """Change a checkpoint's content and give it the checksum that fits."""
    found = torch.load(path, weights_only=True)
    del found[CHECKSUM]
    change(found)
    torch.save({**found, CHECKSUM: checksum(found)}, path)


@pytest.fixture(params=[(), CARRIED], ids=["plain", "carried"])
def trained(request, tmp_path):
    """The checkpoints after one and after two epochs in a folder, the configuration, and what the two put into a learner."""
    learner = MetaLearner(job(*request.param))
    data, contents = MetaData(learner.config), []
    for epoch in range(2):
        learner.train_epoch(data.epoch(epoch))
        save_checkpoint(tmp_path, learner)
        contents.append(content_of(learner))
    return tmp_path, learner.config, contents


@pytest.fixture
def saved(tmp_path):
    learner = MetaLearner(job())
    save_checkpoint(tmp_path, learner)
    return tmp_path


class Hostile:
    def __reduce__(self):
        return os.system, ("touch hacked",)


def test_a_checkpoint_comes_back(saved):
    learner = MetaLearner(job("seed=99"))
    restore(learner, load_checkpoint(saved))
    torch.testing.assert_close(learner.weights, MetaLearner(job()).weights, rtol=0, atol=0)


@pytest.mark.parametrize("keep", [0, 10, 0.5, 0.99])
def test_a_truncated_checkpoint_is_one_line(saved, keep):
    path = saved / CHECKPOINT
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content)) if isinstance(keep, float) else keep])
    with pytest.raises(UserError, match="damaged") as error:
        load_checkpoint(saved)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("write", [torch.save, lambda content, path: path.write_bytes(pickle.dumps(content))])
def test_a_hostile_checkpoint_runs_nothing(saved, write):
    write({"state_dict": Hostile(), "learning": {}}, saved / CHECKPOINT)
    with pytest.raises(UserError, match="nothing in it was executed"):
        load_checkpoint(saved)
    assert not (saved / "hacked").exists()


@pytest.mark.parametrize("content", [{"weights": 1}, [1, 2], torch.zeros(3)])
def test_a_checkpoint_of_something_else_is_one_line(saved, content):
    torch.save(content, saved / CHECKPOINT)
    with pytest.raises(UserError, match="something else"):
        load_checkpoint(saved)


def test_a_checkpoint_of_another_network_is_one_line(saved):
    with pytest.raises(UserError, match="does not fit"):
        restore(MetaLearner(job("replicas=3")), load_checkpoint(saved))


def test_a_missing_checkpoint_is_one_line(tmp_path):
    with pytest.raises(UserError, match="no such checkpoint"):
        load_checkpoint(tmp_path)


def test_a_checkpoint_holds_everything(trained):
    folder, config, (_, last) = trained
    learner = MetaLearner(config)
    restore(learner, load_checkpoint(folder, config))
    assert content_of(learner) == last


def test_one_changed_bit_of_a_weight_is_noticed(trained, caplog):
    """torch ignores the checksums of the zip file."""
    folder, config, (before, _) = trained
    raw = bytearray((folder / CHECKPOINT).read_bytes())
    weights = torch.load(folder / CHECKPOINT, weights_only=True)["state_dict"]["weights"]
    raw[raw.index(weights.numpy().tobytes()) + 3] ^= 1
    (folder / CHECKPOINT).write_bytes(raw)
    learner = MetaLearner(config)
    with caplog.at_level(logging.WARNING):
        restore(learner, load_checkpoint(folder, config))
    assert content_of(learner) == before
    (said,) = caplog.messages
    assert "does not fit its checksum; the checkpoint before it is used, of epoch 1" in said
    (folder / PREVIOUS).write_bytes(b"PK")
    with pytest.raises(DamagedCheckpoint, match=r"checksum; previous\.ckpt, the one before it, cannot be used either") as error:
        load_checkpoint(folder, config)
    assert "\n" not in str(error.value)


def test_a_process_killed_between_the_two_moves_leaves_the_one_before(trained, caplog):
    folder, config, (before, _) = trained
    (folder / CHECKPOINT).unlink()
    learner = MetaLearner(config)
    restore(learner, resume_checkpoint(folder, config))
    assert content_of(learner) == before
    assert "last.ckpt is missing" in caplog.text


def test_a_damaged_checkpoint_does_not_push_out_the_one_before_it(trained):
    folder, config, _ = trained
    good = (folder / PREVIOUS).read_bytes()
    (folder / CHECKPOINT).write_bytes(b"PK")
    learner = MetaLearner(config)
    restore(learner, resume_checkpoint(folder, config))
    save_checkpoint(folder, learner)
    assert (folder / PREVIOUS).read_bytes() == good
    assert (folder / (str(CHECKPOINT) + DAMAGED)).read_bytes() == b"PK"
    assert load_checkpoint(folder, config)["learning"]["epochs_done"] == 1


@pytest.mark.parametrize("size", [1, 127, 128, 16_383, 16_384, 20_001])
def test_every_change_of_a_tensor_changes_its_checksum(size):
    """One bit, two signs in one place of two words, two values exchanged, a block of zeros; small tensors and large ones."""
    draw = np.random.default_rng(size)
    values = draw.normal(size=size).astype(np.float32)
    contents, seen = {values.tobytes()}, {checksum(torch.from_numpy(values))}
    for _ in range(200):
        changed = values.copy()
        one, other = draw.integers(size, size=2)
        kind = draw.integers(4)
        if kind == 0 or one == other:
            changed.view(np.uint8)[draw.integers(4 * size)] ^= 1 << draw.integers(8)
        elif kind == 1:
            changed[[one, other]] *= -1
        elif kind == 2:
            changed[[one, other]] = changed[[other, one]]
        else:
            changed[one : one + 100] = 0
        contents.add(changed.tobytes())
        seen.add(checksum(torch.from_numpy(changed)))
    assert len(seen) == len(contents) > 20
    assert checksum(torch.from_numpy(values)) != checksum(torch.from_numpy(values).reshape(1, -1))
    assert checksum(torch.from_numpy(values)) != checksum(torch.from_numpy(values).view(torch.int32))


def test_a_fresh_run_has_none(tmp_path):
    assert resume_checkpoint(tmp_path, job()) is None


def test_a_checkpoint_without_a_checksum_is_refused(saved):
    found = torch.load(saved / CHECKPOINT, weights_only=True)
    torch.save({key: found[key] for key in ("state_dict", "learning")}, saved / CHECKPOINT)
    with pytest.raises(DamagedCheckpoint, match="has no checksum"):
        load_checkpoint(saved)


def test_a_checkpoint_of_another_run_is_refused(saved):
    """Its shapes fit; its seed is another."""
    with pytest.raises(DamagedCheckpoint, match=r"does not fit its config\.yaml"):
        load_checkpoint(saved, job("seed=5"))


def test_a_damaged_best_checkpoint_is_not_handed_out(trained, caplog):
    folder, config, _ = trained
    assert best_checkpoint(folder, config) == folder / CHECKPOINT
    save_checkpoint(folder, MetaLearner(config), BEST)
    assert best_checkpoint(folder, config) == folder / BEST
    (folder / BEST).write_bytes((folder / BEST).read_bytes()[:-400])
    assert best_checkpoint(folder, config) == folder / CHECKPOINT
    assert "best.ckpt is damaged" in caplog.text


def put(*keys, value):
    def change(content):
        for key in keys[:-1]:
            content = content[key]
        content[keys[-1]] = value(content[keys[-1]]) if callable(value) else value

    return change


def first(tensor, value):
    changed = tensor.clone()
    changed.view(-1)[0] = value
    return changed


EPOCHS, SECONDS, CARRY = ("learning", "epochs_done"), ("learning", "seconds"), ("learning", "carry")
WEIGHTS, DIVERGED, OPTIMIZER = ("state_dict", "weights"), ("state_dict", "diverged_at"), ("learning", "optimizer")
FORGED = [
    *(put(*EPOCHS, value=v) for v in (math.inf, math.nan, -5, 7, True, 1.0, "1", None, torch.tensor(1))),
    *(put(*SECONDS, value=v) for v in (math.inf, math.nan, -1.0, 1, "1")),
    *(put(*WEIGHTS, value=v) for v in (
        lambda w: first(w, math.nan), lambda w: first(w, math.inf), lambda w: w.int(), lambda w: w.double(),
        lambda w: w.to(torch.complex64), lambda w: w.half(), lambda w: w[:1], lambda w: w.T.contiguous(),
        lambda w: w.to_sparse(), lambda w: w.tolist(), None,
    )),
    *(put(*DIVERGED, value=v) for v in (lambda d: d - 1, lambda d: d + 99, lambda d: d.float(), lambda d: d.bool(), 1)),
    *(put(*OPTIMIZER, "updates", value=v) for v in (-1, 2.5, True, None)),
    *(put(*OPTIMIZER, "moments", value=v) for v in (lambda m: m.double(), lambda m: m[:1], None)),
    *(put(*OPTIMIZER, value=v) for v in (None, {}, [], lambda o: {**o, "more": 1})),
    *(put("state_dict", value=v) for v in ({}, None, 1, lambda s: {**s, "more": s["weights"]})),
    *(put("learning", value=v) for v in ({}, None, [1], lambda s: {**s, "more": 1})),
]  # fmt: skip
FORGED_CARRY = [
    put(*CARRY, value=v)
    for v in (
        {"state": 1}, {}, 1, lambda c: {**c, "more": 1}, lambda c: {**c, "state": c["state"].double()},
        lambda c: {**c, "state": c["state"][:, :1]}, lambda c: {**c, "sensitivities": None},
        lambda c: {**c, "sensitivities": c["sensitivities"][:1]}, lambda c: {**c, "sensitivities": c["sensitivities"].double()},
    )
]  # fmt: skip


@pytest.mark.parametrize("trained", [(), CARRIED], ids=["plain", "carried"], indirect=True)
def test_what_training_cannot_have_left_is_refused_though_the_checksum_fits(trained):
    """Nothing of it reaches the learner."""
    folder, config, _ = trained
    path, learner = folder / CHECKPOINT, MetaLearner(config)
    (folder / PREVIOUS).unlink()
    original, before = path.read_bytes(), content_of(learner)
    for i, change in enumerate(FORGED + (FORGED_CARRY if config.family.carry_state else [])):
        path.write_bytes(original)
        try:
            forge(path, change)
        except (TypeError, NotImplementedError):  # nothing that a checkpoint can hold: so the checksum cannot fit
            continue
        with pytest.raises(UserError, match=r"damaged or not ours|does not fit") as error:
            restore(learner, load_checkpoint(folder, config))
        assert "\n" not in str(error.value), i
        assert content_of(learner) == before, i


def test_a_frozen_replica_may_have_weights_that_are_not_finite(trained):
    folder, config, _ = trained

    def diverge(content):
        content["state_dict"]["diverged_at"][0] = 1
        content["state_dict"]["weights"][0, 0] = math.nan

    forge(folder / CHECKPOINT, diverge)
    learner = MetaLearner(config)
    restore(learner, load_checkpoint(folder, config))
    assert learner.diverged == {0: 1}


def alter(raw, draw):
    """Bytes that differ from `raw`: bits flipped, blocks overwritten, moved, cut out or put in, or the end cut off."""
    size, kind = len(raw), draw.randrange(7)
    at, length = draw.randrange(size), min(2 ** draw.randrange(12), size // 2)
    block = draw.randbytes(length) if draw.random() < 0.6 else bytes([draw.choice((0, 255, 128))]) * length
    if kind <= 1:
        raw = bytearray(raw)
        for _ in range(draw.choice((1, 1, 1, 8))):
            raw[draw.randrange(size)] ^= 1 << draw.randrange(8)
        return bytes(raw)
    if kind == 2:
        return (raw[:at] + block + raw[at + length :])[:size]
    if kind == 3:
        return raw[:at]
    if kind == 4:
        return raw[:at] + block + raw[at:]
    if kind == 5:
        return raw[:at] + raw[at + length :]
    other = draw.randrange(size)
    return (raw[:at] + raw[other : other + length] + raw[at + length :])[:size]


def retype(path, draw):
    """Give one value of the content another type or number, and leave the checksum as it was."""
    content = torch.load(path, weights_only=True)
    places = []

    def walk(node):
        for key, value in node.items():
            places.append((node, key))
            if isinstance(value, dict):
                walk(value)

    walk(content)
    node, key = draw.choice(places)
    value = node[key]
    others = [None, 1, -1, 0.5, math.nan, math.inf, True, "x", [], {}, torch.zeros(2)]
    if isinstance(value, torch.Tensor):
        others += [value.double(), value.int(), value.to(torch.complex64), value + 1, value[:1], value.unsqueeze(0)]
    if draw.random() < 0.1:
        del node[key]
    else:
        node[key] = draw.choice(others)
    torch.save(content, path)


@pytest.mark.parametrize("count", [100, pytest.param(2000, marks=pytest.mark.slow)])
def test_an_altered_checkpoint_is_itself_or_the_one_before_or_one_line(trained, count, caplog, tally):
    """Never other numbers, never another error; a checkpoint that is refused leaves the learner alone."""
    folder, config, (before, last) = trained
    path, previous = folder / CHECKPOINT, folder / PREVIOUS
    whole, older = path.read_bytes(), previous.read_bytes()
    learner = MetaLearner(config)
    fresh, start = content_of(learner), {k: v.clone() for k, v in learner.state_dict().items()}
    memory = MetaLearner(config).learning_state()
    draw, outcomes = random.Random(count), {"unchanged": 0, "the one before": 0, "refused": 0}
    for i in range(count):
        path.write_bytes(whole)
        if draw.random() < 0.25:
            retype(path, draw)
        else:
            path.write_bytes(alter(whole, draw))
        kept = draw.random() < 0.5
        if kept:
            previous.write_bytes(older)
        else:
            previous.unlink(missing_ok=True)
        caplog.clear()
        said = None
        try:
            restore(learner, load_checkpoint(folder, config))
        except UserError as error:
            said = str(error)
        if said is not None:
            assert "\n" not in said
            assert not kept, f"alteration {i}: the one before is sound"
            assert content_of(learner) == fresh
            outcomes["refused"] += 1
            continue
        found = content_of(learner)
        if found == before:
            assert "the checkpoint before it is used" in caplog.text
            outcomes["the one before"] += 1
        else:
            assert found == last, f"alteration {i} is accepted with other numbers"
            outcomes["unchanged"] += 1
        learner.load_state_dict(start)
        learner.load_learning_state(memory)
    seen = ", ".join(f"{number} {name}" for name, number in outcomes.items())
    tally("An altered checkpoint is never used with other numbers", count, 0, seen)
    assert outcomes["the one before"]
    assert outcomes["refused"]  # how many leave the content alone is chance
