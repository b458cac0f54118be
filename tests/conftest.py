"""What every test shares: a tiny untrained Imagen, and tiny text encoders written by the test."""

from __future__ import annotations

import os

os.environ.setdefault("RAY_AUTH_MODE", "disabled")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

pytest_plugins = ["tests.gateway"]
