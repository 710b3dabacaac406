import torch

from learning_to_learn.composing import compose_config
from learning_to_learn.randomness import Stream
from learning_to_learn.training.sequences import (
    AT_A_TIME,
    Epochs,
    MetaData,
    MetaEpochs,
    held_out,
    in_streams,
    training_length,
)
from tests.helpers import job


def test_the_third_input_is_the_previous_target():
    for family in ("boolean", "semilinear", "quadratic"):
        found = MetaData(job(f"family={family}")).epoch(3)
        torch.testing.assert_close(found.inputs[..., 1:, 2], found.targets[..., :-1, 0])
        assert (found.inputs[..., 0, 2] == 0.5).all()


def test_a_replicas_data_are_its_own():
    together, alone = MetaData(job("replicas=3", "seed=10")), MetaData(job("replicas=1", "seed=11"))
    torch.testing.assert_close(together.epoch(2).inputs[1:2], alone.epoch(2).inputs, rtol=0, atol=0)
    assert not torch.equal(together.epoch(2).inputs[0], together.epoch(2).inputs[1])


def test_every_epoch_is_new_unless_the_corpus_is_fixed():
    fresh, fixed = MetaData(job()), MetaData(job("family.corpus=fixed"))
    assert not torch.equal(fresh.epoch(0).inputs, fresh.epoch(1).inputs)
    assert torch.equal(fixed.epoch(0).inputs, fixed.epoch(1).inputs)


def test_no_seed_touches_the_test_data():
    config = job("replicas=1", "family=semilinear")
    test = held_out(config, Stream.TEST).mappings[0]
    validation = held_out(config, Stream.VALIDATION).mappings[0]
    for seed in range(20):
        train = MetaData(job("replicas=1", "family=semilinear", f"seed={seed}")).epoch(0).mappings[0]
        for one, other in ((train, test), (train, validation), (validation, test)):
            assert torch.cdist(one, other).min() > 1e-6


def test_held_out_functions_are_only_tested_on():
    config = job("experiment=held_out")
    xor = torch.tensor([0.0, 1.0, 1.0, 0.0])
    for tables, allowed in ((held_out(config, Stream.TEST).mappings[0], True), (MetaData(config).epoch(0).mappings[0], False)):
        is_held_out = ((tables - xor).abs().sum(1) == 0) | ((tables - (1 - xor)).abs().sum(1) == 0)
        assert is_held_out.all() if allowed else not is_held_out.any()


def test_carried_sequences_follow_on_from_each_other():
    data = MetaData(job("family.carry_state=true"))
    now, before = data.epoch(2), data.epoch(1)
    batch = data.config.trainer.batch
    torch.testing.assert_close(now.inputs[:, batch:, 0, 2], now.targets[:, :-batch, -1, 0])
    torch.testing.assert_close(now.inputs[:, :batch, 0, 2], before.targets[:, -batch:, -1, 0])


def test_streams_are_sequences_end_to_end():
    config = job()
    found = in_streams(config, Stream.TEST, 5, 3)
    assert found.inputs.shape == (1, 3, 100, 3)
    torch.testing.assert_close(found.inputs[:, :, 1:, 2], found.targets[:, :, :-1, 0])
    torch.testing.assert_close(found.cut(slice(20, 40)).targets, found.targets[:, :, 20:40])


def test_epochs_go_on_where_they_stopped():
    data = MetaData(job("trainer.epochs=7", "trainer.evaluate_every=3"))
    stretches = []
    while data.next_epoch < 7:
        stretches.append([e.epoch for some in MetaEpochs(data) for e in some])
    assert stretches == [[0, 1, 2], [3, 4, 5], [6]]
    data.next_epoch = 4  # as after a resume
    assert [e.epoch for some in MetaEpochs(data) for e in some] == [4, 5]


def test_a_curriculum_begins_with_short_sequences():
    config = job("trainer.epochs=12", "trainer.curriculum=[5,10]", "trainer.curriculum_part=0.5")
    assert [training_length(config, e) for e in range(12)] == [5] * 3 + [10] * 3 + [20] * 6
    assert MetaData(config).epoch(0).targets.shape == (2, 100, 5, 1)
    assert [training_length(job(), e) for e in (0, 5)] == [20, 20]


def test_a_curriculum_goes_no_further_than_the_familys_length():
    given = ("trainer.epochs=10", "trainer.curriculum=[5,16,64]", "trainer.curriculum_part=0.6")
    for length, lengths in ((256, [5, 16, 64, 256]), (20, [5, 16, 20, 20]), (1, [1, 1, 1, 1])):
        config = job(*given, f"family.sequence_length={length}")
        assert [training_length(config, e) for e in range(10)] == [n for n in lengths[:3] for _ in range(2)] + lengths[3:] * 4


def test_the_default_curriculum_gets_longer_up_to_every_familys_sequences():
    for family in ("boolean", "semilinear", "quadratic"):
        config = compose_config(f"family={family}")
        lengths = [training_length(config, e) for e in range(config.trainer.epochs)]
        assert lengths == sorted(lengths)
        assert 1 < lengths[0] < lengths[-1] == config.family.sequence_length


def test_a_curriculum_carries_the_state_over_to_longer_sequences():
    data = MetaData(job("family.carry_state=true", "trainer.epochs=4", "trainer.curriculum=[10]"))
    short, long = data.epoch(1), data.epoch(2)
    assert (short.targets.shape[2], long.targets.shape[2]) == (10, 20)
    batch = data.config.trainer.batch
    torch.testing.assert_close(long.inputs[:, :batch, 0, 2], short.targets[:, -batch:, -1, 0])


def test_lightning_gets_as_many_epochs_at_a_time_as_are_soon_trained():
    data = MetaData(job("trainer.epochs=50", "trainer.evaluate_every=20"))
    data.seconds_an_epoch = AT_A_TIME / 8.5
    taken = []
    while data.next_epoch < 50:
        taken += [list(some.numbers) for some in MetaEpochs(data)]  # not drawn, so that an epoch's time stays what it is
    assert [len(numbers) for numbers in taken] == [8, 8, 4, 8, 8, 4, 8, 2]
    assert [number for numbers in taken for number in numbers] == list(range(50))
    data.next_epoch, data.seconds_an_epoch = 20, 2 * AT_A_TIME
    assert [len(some.numbers) for some in MetaEpochs(data)] == [1] * 20
    (some,) = [Epochs(data, range(30, 33))]
    assert [one.epoch for one in some] == [30, 31, 32]
    assert 0 < data.seconds_an_epoch < 60
