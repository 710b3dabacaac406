"""The weights that the replicas of a job begin with: at random, or those of a learning rule (`arch.rule`)."""

import torch
from jaxtyping import Float

from learning_to_learn.config import Config
from learning_to_learn.config_check import make_fixed_weight
from learning_to_learn.randomness import Stream, uniform
from learning_to_learn.topology import Network
from learning_to_learn.topology.fixed_weight import learner
from learning_to_learn.topology.initial import initial_parameters
from learning_to_learn.training.sequences import seeds_of


def initial_weights(job: Config, network: Network) -> Float[torch.Tensor, "R P"]:
    """Return a row for each replica.

    A learner that is one neuron starts with zeros, as gradient descent in the reports does. One with hidden neurons starts
    with weights uniform in [-init_scale, init_scale], of each replica's own seed.
    """
    if not job.arch.rule or job.arch.start == "random":
        return initial_parameters(network, seeds_of(job), scale=job.arch.init_scale, bias=job.arch.bias)
    made, size = make_fixed_weight(job), learner(job.family.make().input_size, job.arch.hidden).parameters
    own = torch.zeros(job.replicas, size)
    if job.arch.hidden:
        own = (2 * torch.from_numpy(uniform(seeds_of(job), Stream.WEIGHTS, 0, size)) - 1) * job.arch.init_scale
    return made.parameters(own).float()
