"""What a standalone shipper knows better than the workers about the applications it delivers for. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from moesifasgi.shipper.gate import Pace
from moesifasgi.wire.application import Application


@dataclass(frozen=True, slots=True)
class Overrides:
    """The values are fields of ``Application``. ``own`` holds those of single applications, by their ids."""

    of_all: Mapping[str, Any] = field(default_factory=dict, repr=False)
    own: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    paces: Mapping[str, Pace] = field(default_factory=dict, repr=False)
    """For applications whose failures are not met with the usual patience."""
    refuse_others: bool = False
    """Whether only applications in ``own`` are served."""

    def applied(self, application: Application) -> Application:
        """The application as it is delivered, whatever its workers said."""
        changes = {**self.of_all, **self.own.get(application.application_id, {})}
        return replace(application, **changes) if changes else application

    def named(self, application_id: str) -> Application | None:
        """An application of which no worker has spoken yet; None where the configuration does not either."""
        if application_id not in self.own:
            return None
        return self.applied(Application(application_id))

    def refusal(self, applications: Iterable[Application]) -> str | None:
        """Why a worker with these applications is not served; None if it is."""
        if not self.refuse_others:
            return None
        unknown = [each.label for each in applications if each.application_id not in self.own]
        if not unknown:
            return None
        return f"this shipper's configuration names no application {', '.join(unknown)}, and refuses others"
