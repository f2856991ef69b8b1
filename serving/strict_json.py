"""JSON as its standard has it: no NaN, no key twice, no half characters, no tower of brackets."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

from serving.problems import Problem, ProblemError

__all__ = ["parse_json"]

_HALF_CHARACTER = re.compile(rb"\\u[dD][89a-fA-F]")


class _StrictError(ValueError):
    """JSON that Python would read and the standard does not allow."""


def parse_json(data: bytes) -> object:
    """Parse a request's body.

    Parameters
    ----------
    data
        UTF-8 text.

    Raises
    ------
    ProblemError
        400, with the place where the text stops being JSON.

    Examples
    --------
    >>> parse_json(b'{"value": 1.5}')
    {'value': 1.5}
    >>> parse_json(b'{"value": NaN}')
    Traceback (most recent call last):
    ...
    serving.problems.ProblemError: Found the request is not JSON; expected a request as /docs.json describes \
it. To go on: NaN and Infinity are no JSON numbers; leave the key out or send null.
    """
    try:
        value: object = json.loads(
            data.decode("utf-8"), parse_constant=_refuse_constant, object_pairs_hook=_refuse_doubles
        )
        if _HALF_CHARACTER.search(data):
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeError as error:
        raise _not_json("The text is not UTF-8, or an escape in it stands for half a character") from error
    except json.JSONDecodeError as error:
        raise _not_json(f"{error.msg} at line {error.lineno}, column {error.colno}") from error
    except _StrictError as error:
        raise _not_json(str(error)) from error
    except ValueError as error:  # Python reads no integer of more than 4,300 digits
        raise _not_json("A number has too many digits") from error
    except RecursionError as error:
        raise _not_json("The brackets are nested too deeply; a request nests at most six") from error
    return value


def _not_json(detail: str) -> ProblemError:
    return ProblemError(Problem("invalid-json", "The request is not JSON", 400, f"{detail}."))


def _refuse_constant(name: str) -> NoReturn:
    del name
    raise _StrictError("NaN and Infinity are no JSON numbers; leave the key out or send null")


def _refuse_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _StrictError("An object has the same key twice, and it is unclear which one is meant")
    return found
