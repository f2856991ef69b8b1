"""A model as files: one JSON document, LightGBM's own text for the shallow members, and the line. No pickle.

The registry records the SHA-256 of every file of a version (and their HMAC when ``KIZASHI_SIGNING_KEY`` is set).
Loading reads the bytes, compares, and only then parses.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from crm.errors import BundleError
from features.spec import FeatureSet
from models.amount import AmountModel
from models.blend import Endpoint
from models.boosted import FreeMember, ShallowMember, StumpsMember
from models.calibration import Calibrator
from models.follow_up import FollowUp
from models.line import Line
from models.logistic import LogisticMember
from models.timing import timing_from_json

__all__ = ["Bundle", "file_hashes", "parse_bundle", "signature", "verify_files", "write_bundle"]

FORMAT = 5
DOCUMENT = "model.json"
LINE = "line.json"
WRITTEN_BY_MLFLOW = "registered_model_meta"
"""A file that MLflow puts beside a model whenever its own loader opens one by name; nothing here reads it."""
MAX_FILE_BYTES = 200_000_000


@dataclass(frozen=True)
class Bundle:
    """Everything that turns features into a score.

    Parameters
    ----------
    features
        The features, in order.
    sql, won
        The two endpoints.
    amount
        The amount of a win.
    score_outcome
        Endpoint that the score speaks of: ``won``, or ``sql`` below 100 wins.
    g50
        Blended logit of the score's endpoint that scores 50 points.
    currency
        Of amounts and values.
    trained_from, trained_until
        Training window, ISO 8601 UTC.
    versions
        Versions of kizashi and of the libraries that made it.
    follow_up
        What a hand-off does; None where the data could not tell.
    """

    features: FeatureSet
    sql: Endpoint
    won: Endpoint
    amount: AmountModel
    score_outcome: str
    g50: float
    currency: str
    trained_from: str
    trained_until: str
    versions: Mapping[str, str]
    follow_up: FollowUp | None = None

    @property
    def basis(self) -> Literal["as_run", "if_worked"]:
        """What expected values speak of: leads as things are run, or what working one adds."""
        return "if_worked" if self.follow_up is not None and self.follow_up.decides else "as_run"

    @property
    def score_endpoint(self) -> Endpoint:
        """The endpoint that the score speaks of."""
        return self.won if self.score_outcome == "won" else self.sql


def write_bundle(bundle: Bundle, line: Line, folder: Path) -> None:
    """Write a bundle and its line into an empty folder."""
    folder.mkdir(parents=True, exist_ok=True)
    texts: dict[str, str] = {}
    document = {
        "format": FORMAT,
        "fingerprint": bundle.features.fingerprint,
        "features": bundle.features.to_json(),
        "sql": _endpoint_to_json(bundle.sql, texts),
        "won": _endpoint_to_json(bundle.won, texts),
        "amount": bundle.amount.to_json(),
        "score_outcome": bundle.score_outcome,
        "g50": bundle.g50,
        "currency": bundle.currency,
        "trained_from": bundle.trained_from,
        "trained_until": bundle.trained_until,
        "versions": dict(bundle.versions),
        "follow_up": None if bundle.follow_up is None else bundle.follow_up.to_json(),
    }
    text = json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False)
    (folder / DOCUMENT).write_text(text + "\n", encoding="utf-8")
    for name, content in texts.items():
        (folder / name).write_text(content, encoding="utf-8")
    line.save(folder / LINE)


def _endpoint_to_json(endpoint: Endpoint, texts: dict[str, str]) -> dict[str, Any]:
    members: list[dict[str, Any]] = []
    for member in endpoint.members:
        if isinstance(member, ShallowMember):
            name = f"{member.name}-{hashlib.sha256(member.text.encode()).hexdigest()[:12]}.txt"
            texts[name] = member.text
            members.append(
                {
                    "member": member.name,
                    "file": name,
                    "features": member.features,
                    "rounds": member.rounds,
                    "offset": None if member.offset is None else member.offset.to_json(),
                }
            )
        else:
            members.append(member.to_json())
    return {
        "outcome": endpoint.outcome,
        "horizon_days": endpoint.horizon_days,
        "members": members,
        "weights": list(endpoint.weights),
        "calibrator": endpoint.calibrator.to_json(),
        "timing": endpoint.timing.to_json(),
        "scale": endpoint.scale,
    }


def file_hashes(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file below a folder, by its path in it."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def signature(hashes: Mapping[str, str], key: str) -> str:
    """Return the HMAC-SHA-256 of a list of hashes."""
    text = json.dumps(dict(sorted(hashes.items())))
    return hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()


def verify_files(folder: Path, expected: Mapping[str, str]) -> dict[str, bytes]:
    """Read the files that the registry recorded, and refuse any other content.

    Parameters
    ----------
    folder
        Where the model's files lie.
    expected
        SHA-256 by path, as recorded at registration.

    Returns
    -------
    dict of str to bytes
        The contents, verified, unparsed.

    Raises
    ------
    BundleError
        When a file is missing, added, too large or changed.
    """
    if not expected:
        raise _changed("no recorded hashes for this version")
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} - {WRITTEN_BY_MLFLOW}
    if found != set(expected):
        odd = sorted(found ^ set(expected))
        raise _changed(f"'{odd[0]}' {'added to' if odd[0] in found else 'missing from'} the model's files")
    contents: dict[str, bytes] = {}
    for name, digest in expected.items():
        path = folder / name
        if path.stat().st_size > MAX_FILE_BYTES:
            raise _changed(f"'{name}' with {path.stat().st_size:,} bytes")
        contents[name] = path.read_bytes()
        if not hmac.compare_digest(hashlib.sha256(contents[name]).hexdigest(), digest):
            raise _changed(f"'{name}' with other content than was registered")
    return contents


def _changed(found: str) -> BundleError:
    return BundleError(
        found=found,
        expected="the files exactly as they were registered",
        fix="do not use this model; find out who changed it, and roll back or train again",
    )


def parse_bundle(contents: Mapping[str, bytes], *, fingerprint: str, prefix: str = "") -> tuple[Bundle, Line]:
    """Build a bundle from verified contents.

    Parameters
    ----------
    contents
        As :func:`verify_files` gives them.
    fingerprint
        Fingerprint of the features that the registry recorded.
    prefix
        Folder of the bundle inside the model's files, with its slash.

    Raises
    ------
    BundleError
        When the features are not those of the fingerprint, or the format is another.
    """
    document = json.loads(contents[prefix + DOCUMENT])
    if document.get("format") != FORMAT:
        raise BundleError(
            found=f"a bundle of format {document.get('format')!r}",
            expected=f"format {FORMAT}",
            fix="score with the version of kizashi that trained it, or train again",
        )
    features = FeatureSet.from_json(document["features"])
    if not features.fingerprint == document["fingerprint"] == fingerprint:
        raise BundleError(
            found=f"features with the fingerprint {features.fingerprint[:12]}",
            expected=f"{fingerprint[:12]}, with which the model was trained",
            fix="score with the version of kizashi that trained it, or train again",
        )
    try:
        bundle = Bundle(
            features,
            _endpoint_from_json(document["sql"], contents, prefix),
            _endpoint_from_json(document["won"], contents, prefix),
            AmountModel.from_json(document["amount"]),
            str(document["score_outcome"]),
            float(document["g50"]),
            str(document["currency"]),
            str(document["trained_from"]),
            str(document["trained_until"]),
            document["versions"],
            None if document["follow_up"] is None else FollowUp.from_json(document["follow_up"]),
        )
        line = Line.model_validate_json(contents[prefix + LINE])
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(
            found=f"a bundle whose parts do not fit together ({type(error).__name__}: {str(error)[:120]})",
            expected=f"a bundle written by this version of kizashi (format {FORMAT})",
            fix="score with the version of kizashi that trained it, or train again",
        ) from error
    return bundle, line


def _endpoint_from_json(item: Mapping[str, Any], contents: Mapping[str, bytes], prefix: str) -> Endpoint:
    return Endpoint(
        str(item["outcome"]),
        float(item["horizon_days"]),
        tuple(_members(item["members"], contents, prefix)),
        tuple(float(weight) for weight in item["weights"]),
        Calibrator.from_json(item["calibrator"]),
        timing_from_json(item["timing"]),
        float(item["scale"]),
    )


def _members(
    items: Sequence[Mapping[str, Any]], contents: Mapping[str, bytes], prefix: str
) -> list[LogisticMember | StumpsMember | ShallowMember]:
    members: list[LogisticMember | StumpsMember | ShallowMember] = []
    known: dict[str, LogisticMember] = {}

    def logistic(item: Mapping[str, Any]) -> LogisticMember:
        """Read a regression, or return the one that says the same: what trees stand upon is computed once."""
        return known.setdefault(json.dumps(item, sort_keys=True), LogisticMember.from_json(item))

    for item in items:
        if item["member"] in (ShallowMember.name, FreeMember.name):
            kind = FreeMember if item["member"] == FreeMember.name else ShallowMember
            text = contents[prefix + item["file"]].decode()
            offset = None if item["offset"] is None else logistic(item["offset"])
            members.append(kind(text, int(item["features"]), int(item["rounds"]), offset))
        elif item["member"] == StumpsMember.name:
            members.append(StumpsMember.from_json(item, logistic))
        else:
            members.append(logistic(item))
    return members
