"""How fast the engine is, beside others, in one run: `make bench`. JAX is used here and nowhere else."""
