"""Ask a running service from a program: ``Client``, and ``AsyncClient`` with the same methods.

Light on purpose: it needs httpx and msgspec, and loads nothing of the house but the errors. docs/guides/client.md shows it at work.
"""

from treadle.client.aio import AsyncClient
from treadle.client.answers import Consent, Health, Label, Model, ModelDetail, Prediction, Ready, Refused, Role
from treadle.client.blocking import Client

__all__ = ["AsyncClient", "Client", "Consent", "Health", "Label", "Model", "ModelDetail", "Prediction", "Ready", "Refused", "Role"]
