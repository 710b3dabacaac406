"""`from learning_to_learn.lightning import pl` is pytorch_lightning, imported without what a job never uses of it."""

from learning_to_learn.stand_ins import import_lightning

import_lightning()

# Imported after what makes it cheap.
import pytorch_lightning as pl  # noqa: E402
from lightning_fabric.plugins.environments import LightningEnvironment, SLURMEnvironment  # noqa: E402

__all__ = ["LightningEnvironment", "SLURMEnvironment", "pl"]
