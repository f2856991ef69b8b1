"""The file of leads that ``kizashi score --leads`` takes: lead_id and optionally as_of, one row a scoring."""

from __future__ import annotations

import stat
import warnings
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from crm.errors import LeadFileError
from crm.known import to_micros

__all__ = ["read_lead_file"]

MAX_BYTES = 2_000_000_000


def read_lead_file(path: Path, *, default_as_of: datetime, timezone: str) -> pd.DataFrame:
    """Read which leads to score, and as of when.

    Parameters
    ----------
    path
        CSV or Parquet with the column ``lead_id`` and optionally ``as_of`` (ISO 8601).
    default_as_of
        Moment of rows without one.
    timezone
        Zone of moments that name none.

    Returns
    -------
    DataFrame
        ``lead_id`` (text), ``as_of_us`` (microseconds since 1970 UTC), in the file's order.

    Raises
    ------
    LeadFileError
        When the file cannot be read, has no such column, or a moment cannot be understood; rows are named.
    """
    _check_file(path)
    frame = _read(path)
    if "lead_id" not in frame.columns:
        raise _bad(
            f"'{path.name}' with the columns {', '.join(map(str, frame.columns[:12])) or '(none)'}", "a column lead_id"
        )
    if frame.empty:
        raise _bad(f"'{path.name}' without a row", "one row a lead")
    ids = frame["lead_id"].astype("string").str.strip()
    blank = np.flatnonzero(ids.isna() | (ids == ""))
    if blank.size:
        raise _bad(
            f"no lead_id in row {blank[0] + 1} of '{path.name}' ({blank.size} such rows)", "a lead_id in every row"
        )
    moments = _moments(frame, path, default_as_of, timezone)
    return pd.DataFrame({"lead_id": ids.astype(object), "as_of_us": moments})


def _check_file(path: Path) -> None:
    if not path.exists():
        raise _bad(f"no file '{path}'", "a CSV or Parquet file")
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise _bad(f"'{path}', which is no regular file", "a CSV or Parquet file; write a stream to a file first")
    if status.st_size > MAX_BYTES:
        raise _bad(f"'{path}' with {status.st_size / 1e9:.1f} GB", f"at most {MAX_BYTES / 1e9:.0f} GB; split it")
    if status.st_size == 0:
        raise _bad(f"'{path}', which is empty", "a CSV or Parquet file with a column lead_id")


def _read(path: Path) -> pd.DataFrame:
    try:
        if path.suffix.lower() in (".parquet", ".pq"):
            return pd.read_parquet(path)
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # rows with more fields than the first line
            return pd.read_csv(
                path, dtype=str, encoding="utf-8-sig", keep_default_na=False, na_values=[""], index_col=False
            )
    except pd.errors.ParserWarning as error:
        raise _bad(
            f"'{path.name}', whose rows have more fields than its first line has names",
            "one name for each field (is there a comma at the end of the rows?)",
        ) from error
    except UnicodeDecodeError as error:
        raise _bad(
            f"'{path.name}', whose byte {error.start} is not UTF-8",
            "UTF-8 (a Japanese export is often Shift-JIS: iconv -f CP932 -t UTF-8)",
        ) from error
    except (ValueError, OSError) as error:  # pandas' and pyarrow's parse errors are ValueErrors
        raise _bad(
            f"'{path.name}', which cannot be read: {str(error).splitlines()[0][:200]}", "a CSV or Parquet file"
        ) from error


def _moments(frame: pd.DataFrame, path: Path, default: datetime, timezone: str) -> np.ndarray:
    if "as_of" not in frame.columns:
        return np.full(len(frame), to_micros(default), dtype=np.int64)
    zone = ZoneInfo(timezone)
    cache: dict[object, int] = {}

    def micros(value: object) -> int:
        if value is None or value is pd.NaT or (isinstance(value, float) and np.isnan(value)):
            return to_micros(default)
        moment = (
            value.to_pydatetime() if isinstance(value, pd.Timestamp) else datetime.fromisoformat(str(value).strip())
        )
        return to_micros((moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC))

    found = np.empty(len(frame), dtype=np.int64)
    for row, value in enumerate(frame["as_of"]):
        key = str(value)
        if key not in cache:
            try:
                cache[key] = micros(value)
            except (ValueError, OverflowError) as error:  # the latter for year 1 in a zone east of UTC
                raise _bad(
                    f"as_of '{key[:40]}' in row {row + 1} of '{path.name}'", "ISO 8601, such as 2026-07-01T09:00Z"
                ) from error
        found[row] = cache[key]
    return found


def _bad(found: str, expected: str) -> LeadFileError:
    return LeadFileError(found=found, expected=expected, fix="correct the file and run again; nothing was written")
