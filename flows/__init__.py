"""Prefect flows: a coat around ``tomosurf.pipeline``. Tasks exchange paths and digests, nothing else."""
