"""Verdicts: archs, each tuned with the same budget, compared over fresh seeds on families of tasks."""
