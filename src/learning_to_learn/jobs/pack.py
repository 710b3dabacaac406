"""Jobs of a sweep that differ only in numbers are trained together on the replica axis: `launcher=packed`.

A pack only trains: it leaves in every job's folder the metrics and the checkpoint that the job alone would have left. Then each
job runs as it always does. It finds its training done, and evaluates, or it finds a folder that the pack has left alone, and
says why. So whatever goes wrong with a pack costs time, never a result.
"""
