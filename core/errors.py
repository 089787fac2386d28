"""Every error a user can meet, in one tree. Each message is one sentence: what, where, what to do.

What to do is part of the sentence, or stands beside it as `advice`, where its words depend on the front end.

PersonasError
├── InvalidInput            a request that can never work as written (HTTP 400, exit code 2)
│   ├── InvalidBlend        "codebeard:x+zen"
│   ├── InvalidSetting      a setting that is not what it must be
│   └── InvalidData         rows of a data file, persona.toml, adapter folder contents
├── NotFound                unknown persona, adapter version, exchange, model folder (HTTP 404, exit code 2)
├── AdapterRejected         pickle, wrong shape, other base model, outside the configured folders
├── QueueFull               the queue's bound is reached (HTTP 429)
├── DeadlineExceeded        a job waited or ran longer than its deadline (HTTP 504)
├── EngineFailed            the engine could not write this reply (HTTP 500)
├── StoreUnavailable        database locked, from a newer version, disk full (HTTP 503)
└── PermissionNeeded        an action the operator has not allowed (HTTP 403)
"""

from __future__ import annotations

from core.advice import Advice


class PersonasError(Exception):
    """Root of the tree. `str(error)` is the sentence shown to the user, `advice` what would help.

    `public` is told instead to those who are not at this machine, where the sentence itself may name its files.
    """

    http_status = 500
    exit_code = 1
    public: str | None = None

    def __init__(self, sentence: str = "", *, advice: Advice | None = None) -> None:
        super().__init__(sentence)
        self.advice = advice

    @property
    def public_sentence(self) -> str:
        return self.public or str(self)


class InvalidInput(PersonasError):
    http_status = 400
    exit_code = 2


class InvalidBlend(InvalidInput):
    pass


class InvalidSetting(InvalidInput):
    pass


class InvalidData(InvalidInput):
    pass


class NotFound(PersonasError):
    http_status = 404
    exit_code = 2


class AdapterRejected(PersonasError):
    public = "The adapter of this persona cannot be used, the server's log says why; choose another persona."


class QueueFull(PersonasError):
    http_status = 429


class DeadlineExceeded(PersonasError):
    http_status = 504


class EngineFailed(PersonasError):
    pass


class StoreUnavailable(PersonasError):
    http_status = 503
    public = "The server's database cannot be used at the moment, its log says why; try again in a minute."


class PermissionNeeded(PersonasError):
    http_status = 403
