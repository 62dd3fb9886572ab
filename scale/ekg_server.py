"""The detector's server, by the name it has here, as `.ekg` has the rest; needs flask."""

from typing import TYPE_CHECKING

if TYPE_CHECKING or not str(__package__).startswith("ekg."):
    from runtime.server.feed import Quiet
    from runtime.server.ward import Ward, ward_application
else:
    from ekg.server.feed import Quiet
    from ekg.server.ward import Ward, ward_application

__all__ = ["Quiet", "Ward", "ward_application"]
