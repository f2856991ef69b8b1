"""Every error that kizashi raises on purpose.

::

    KizashiError
    ├── ConfigError            kizashi.toml cannot be used; lists every problem with its place
    ├── WorkspaceError         a folder is not, or cannot become, a workspace
    ├── SourceError            a source cannot be opened or its SQL fails
    ├── TableError             a table lacks a column or has the wrong type as a whole
    ├── LeadFileError          a file of leads to score cannot be used
    ├── LeakError              a column tells the outcome
    ├── TooFewOutcomesError    not enough outcomes to learn from
    ├── PastOnlyError          an as_of lies where nothing is known
    ├── BundleError            a model's files are not what the registry recorded
    ├── RegistryError          no such model, version or alias
    ├── PromotionError         the gate keeps a challenger from becoming champion
    ├── StateError             the service's state cannot be opened, read or written
    ├── CrmError               a CRM cannot be told or asked
    │   ├── CrmAccessError     it does not accept the key
    │   │   └── CrmForbiddenError  it accepts the key, which may not do this
    │   ├── CrmSetupError      a field, a record type or the address that the workspace file names is not there
    │   ├── CrmUnavailableError  it did not answer, or asked to wait; nothing is lost
    │   └── CrmRefusedError    it refused a call as a whole
    ├── ApiKeyError            no API key can be made, or none is there, by this name
    ├── ErasureError           a lead cannot be erased
    ├── ExpectationError       an expectation of a campaign cannot be registered
    └── RequestError           a scoring request cannot be understood

Each one says what was found, what was expected and what to do, in one paragraph.

Examples
--------
>>> try:
...     raise SourceError(
...         found="no folder 'exports'", expected="a folder of CSV, Parquet or JSONL files", fix="correct [source] url"
...     )
... except KizashiError as error:
...     print(error)
Found no folder 'exports'; expected a folder of CSV, Parquet or JSONL files. To go on: correct [source] url.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = [
    "ApiKeyError",
    "BundleError",
    "ConfigError",
    "CrmAccessError",
    "CrmError",
    "CrmForbiddenError",
    "CrmRefusedError",
    "CrmSetupError",
    "CrmUnavailableError",
    "ErasureError",
    "ExpectationError",
    "KizashiError",
    "LeadFileError",
    "LeakError",
    "PastOnlyError",
    "PromotionError",
    "RegistryError",
    "RequestError",
    "SourceError",
    "StateError",
    "TableError",
    "TooFewOutcomesError",
    "WorkspaceError",
]


class KizashiError(Exception):
    """Something a person can put right.

    Parameters
    ----------
    found
        What was met, without a final full stop.
    expected
        What would have been accepted.
    fix
        What to do next.
    """

    def __init__(self, *, found: str, expected: str, fix: str) -> None:
        self.found = found
        self.expected = expected
        self.fix = fix
        super().__init__(f"Found {found}; expected {expected}. To go on: {fix}.")


class ConfigError(KizashiError, ValueError):
    """``kizashi.toml`` cannot be used; ``problems`` has one line per mistake, each with its place."""

    def __init__(self, *, path: str, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        count = len(self.problems)
        listed = "".join(f"\n  - {problem}" for problem in self.problems)
        super().__init__(
            found=f"{count} problem{'s' if count != 1 else ''} in {path}",
            expected="the keys of docs/reference/workspace.md, each with a value that fits",
            fix=f"correct what follows; nothing was read or changed:{listed}",
        )

    def __str__(self) -> str:
        # A list ends the message: a full stop after its last line would be taken for part of it.
        return super().__str__().removesuffix(".")


class WorkspaceError(KizashiError):
    """A folder is not, or cannot become, the workspace that a command needs."""


class SourceError(KizashiError):
    """A source cannot be opened, or one of its SELECTs fails."""


class TableError(KizashiError, ValueError):
    """A table as a whole is unusable; single bad rows go to quarantine instead."""


class LeadFileError(KizashiError, ValueError):
    """A file of leads to score cannot be used."""


class LeakError(KizashiError, ValueError):
    """A column knows the outcome before it has happened."""


class TooFewOutcomesError(KizashiError, ValueError):
    """There are too few outcomes to learn from; ``missing`` says how many more are needed."""

    def __init__(self, *, found: str, expected: str, fix: str, missing: int) -> None:
        self.missing = missing
        super().__init__(found=found, expected=expected, fix=fix)


class PastOnlyError(KizashiError, ValueError):
    """An ``as_of`` lies where the tables know nothing."""


class BundleError(KizashiError):
    """A model's files are not those that the registry recorded; nothing in them was parsed."""


class RegistryError(KizashiError, LookupError):
    """The registry has no such model, version or alias."""


class PromotionError(KizashiError):
    """The gate keeps this version from becoming champion; the message names the condition."""


class StateError(KizashiError):
    """The service's state cannot be opened, read or written."""


class CrmError(KizashiError):
    """A CRM cannot be told or asked. What waits to be sent to it goes on waiting."""


class CrmAccessError(CrmError):
    """A CRM does not accept the key, or the key may not do this: everything would be refused, so nothing is tried."""


class CrmForbiddenError(CrmAccessError):
    """A CRM accepts the key, which may not do this: other things may be allowed."""


class CrmSetupError(CrmError):
    """The workspace file names something that the CRM does not have, such as a field; no row is to blame."""


class CrmUnavailableError(CrmError):
    """A CRM did not answer, or asked to wait.

    ``retry_after_s`` is how long, in seconds, where it said so; ``may_be_a_row`` is true where it broke over the call
    itself, so that one of the rows may be what it cannot bear.
    """

    def __init__(
        self, *, found: str, expected: str, fix: str, retry_after_s: float | None = None, may_be_a_row: bool = False
    ) -> None:
        self.retry_after_s = retry_after_s
        self.may_be_a_row = may_be_a_row
        super().__init__(found=found, expected=expected, fix=fix)


class CrmRefusedError(CrmError):
    """A CRM refused a call as a whole; ``message`` has its words. One of the rows may be what it means."""

    def __init__(self, *, found: str, expected: str, fix: str, message: str = "") -> None:
        self.message = message or found
        super().__init__(found=found, expected=expected, fix=fix)


class ApiKeyError(KizashiError, ValueError):
    """No API key can be made, or none is there, by this name."""


class ExpectationError(KizashiError, ValueError):
    """An expectation that cannot be registered."""


class ErasureError(KizashiError, ValueError):
    """A lead cannot be erased, or not from every place."""


class RequestError(KizashiError, ValueError):
    """A scoring request cannot be understood; ``field`` is a JSON pointer to the culprit."""

    def __init__(self, *, found: str, expected: str, fix: str, field: str) -> None:
        self.field = field
        super().__init__(found=found, expected=expected, fix=fix)
