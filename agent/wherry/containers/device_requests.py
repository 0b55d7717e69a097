"""``HostConfig.DeviceRequests``: devices by what they are, not by path. The only driver here is CDI."""

from __future__ import annotations

from collections.abc import Sequence

from wherry.containers import cdi
from wherry.containers.model import DeviceRequest
from wherry.errors import InvalidParameter

CDI = "cdi"


def check(requests: Sequence[DeviceRequest]) -> None:
    """Raises ``InvalidParameter``, in Docker's words, for drivers and capabilities that nothing here has."""
    for index, request in enumerate(requests):
        field = f"HostConfig.DeviceRequests[{index}]"
        if request.driver != CDI:
            asked = " ".join(f"[{' '.join(alternative)}]" for alternative in request.capabilities)
            raise InvalidParameter(
                f'could not select device driver "{request.driver}" with capabilities: [{asked}]',
                field=field,
                allowed="the driver cdi, which GPUs have as well: --device nvidia.com/gpu=all",
            )
        for key, value in (("Count", request.count), ("Capabilities", request.capabilities),
                           ("Options", request.options)):  # fmt: skip
            if value:
                raise InvalidParameter("is not for the driver cdi", field=f"{field}.{key}", allowed="DeviceIDs alone")
        for place, name in enumerate(request.device_ids):
            cdi.check_name(name, f"{field}.DeviceIDs[{place}]")


def cdi_names(requests: Sequence[DeviceRequest]) -> list[str]:
    """The devices that CDI's files describe."""
    return [name for request in requests for name in request.device_ids]
