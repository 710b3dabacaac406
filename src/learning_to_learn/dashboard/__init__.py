"""The dashboard of a sweep: one page, served while the sweep runs or written as one file; and the same as code for wandb."""
