"""What can go wrong between us and a device, in two kinds: the weather's and ours.

    CollectError                    carries `retry` and the PollProblem an operator sees
    ├── DeviceUnreachable           no answer, refused, no route           retry
    │   └── HeldBack                the address' own budget let no request out in time          retry
    ├── DeviceBusy                  it answered "not now"                  retry, after a moment
    ├── BadReply                    it answered something that is no answer to what was asked   retry
    ├── PointFailed                 it answered that it cannot give this point now              no retry
    ├── PointMissing                it answered that there is no such point                     no retry
    ├── ProfileMismatch             it is not the device the profile describes                  no retry, a human
    └── BadCredentials              it does not accept who we are                               no retry, a human

Exceptions of gufo-snmp and pymodbus are translated into these in `collectors/snmp/client.py` and
`collectors/modbus/client.py` and nowhere else, always `raise ... from exc`.
"""

from collectors.exchange import PollProblem
from facility.reading import QualityReason


class CollectError(Exception):
    """A device brought nothing for a request. `retry`: asking again may help; the message says what was asked."""

    retry = True
    problem = PollProblem.BAD_REPLY
    reason = QualityReason.EXCEPTION


class DeviceUnreachable(CollectError):
    """No answer at all: silent, refused, or no way to it."""

    def __init__(self, message: str, *, problem: PollProblem = PollProblem.TIMEOUT) -> None:
        super().__init__(message)
        self.problem = problem
        self.reason = QualityReason.TIMEOUT if problem is PollProblem.TIMEOUT else QualityReason.UNREACHABLE


class HeldBack(DeviceUnreachable):
    """Nothing was asked: its turn in the budget of its address had not come by the deadline."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.problem = PollProblem.HELD_BACK


class DeviceBusy(CollectError):
    """It is there and has no time now (Modbus exceptions 05 and 06)."""


class BadReply(CollectError):
    """An answer that is none: garbage, another request's, another length, another function."""


class PointFailed(CollectError):
    """It is there and cannot give this point at present (Modbus exceptions 04, 07 and 08)."""

    retry = False


class PointMissing(CollectError):
    """It is there and says it has no such object or register (noSuchObject, Modbus exceptions 01, 02 and 03)."""

    retry = False
    reason = QualityReason.NO_SUCH_OBJECT


class ProfileMismatch(CollectError):
    """Not the device the profile was written for."""

    retry = False
    problem = PollProblem.PROFILE_MISMATCH


class BadCredentials(CollectError):
    """Authenticated requests are turned down, also after a fresh look at the agent's engine."""

    retry = False
    problem = PollProblem.BAD_CREDENTIALS
    reason = QualityReason.UNREACHABLE
