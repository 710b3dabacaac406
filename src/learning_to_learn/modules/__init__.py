"""Modules of torch, for `arch.module`, that are no networks of units."""
