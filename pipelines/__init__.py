"""Batch jobs: a prompt table becomes an image dataset.

The flow is in `batch.py`; everything that a run leaves behind goes through `storage.py`; what a run is,
`plan.py` pins. Nothing here but `ray_flow.py` imports Ray, so that a command line can import the rest at once.
"""
