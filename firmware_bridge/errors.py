"""Every error of the bridge; each says what to do next, and no other error leaves it.

BridgeError
├── LinkLost        the cable, port or network is gone: wait, then connect again
├── Refused         this machine will not do this: do not ask again unchanged
│   └── ProfileBroken   a machine profile cannot be used: correct the file
├── NeedsPerson     somebody must look at the machine before anything moves
└── ProtocolError   the machine said what its language does not know: keep `transcript`
"""


class BridgeError(Exception):
    """The root: catch it where a driver is called."""


class LinkLost(BridgeError):
    pass


class Refused(BridgeError):
    pass


class ProfileBroken(Refused):
    pass


class NeedsPerson(BridgeError):
    pass


class ProtocolError(BridgeError):
    def __init__(self, message: str, transcript: str = "") -> None:
        super().__init__(message)
        self.transcript = transcript
