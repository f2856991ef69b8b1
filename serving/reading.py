"""What the model in force and the workspace make of a body: which attributes are read, and how."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from crm.config import WorkspaceConfig
from crm.expressions import ColumnKind, columns_of
from features.lead_features import AttributeIs, AttributeNumber
from features.spec import FeatureSet
from features.touch_features import TouchFeature

__all__ = ["AttributeType", "Reading"]

AttributeType = Literal["number", "text"]
HOUR_US = 3_600_000_000


@dataclass(frozen=True)
class Reading:
    """How bodies are read for one model.

    Parameters
    ----------
    attributes
        Attributes that the model reads, with their types; a number may also be true or false.
    touch_lag_us, stage_lag_us
        From a row's own time to its recording where a body does not say, microseconds.
    reads_account, reads_stages
        Whether the model looks at the account's other leads, and at the stages mql and recycled.
    kinds
        Kinds of touches that the model knows by name.
    levels
        Values that it knows by name, by text attribute.
    takes_any_id
        Ids that look like e-mail addresses are taken, because the workspace hashes ids.
    rule_columns
        Columns that the rules of ``[exclude]`` read, with what they take them for.
    """

    attributes: Mapping[str, AttributeType]
    touch_lag_us: int
    stage_lag_us: int
    reads_account: bool
    reads_stages: bool
    kinds: frozenset[str]
    levels: Mapping[str, frozenset[str]]
    takes_any_id: bool
    rule_columns: Mapping[str, ColumnKind] = field(default_factory=dict)

    @classmethod
    def of(cls, features: FeatureSet, config: WorkspaceConfig) -> Reading:
        """Return how bodies are read for a model in a workspace."""
        numbers = {feature.attribute for feature in features.features if isinstance(feature, AttributeNumber)}
        relations = {feature.reads for feature in features.features}
        named = [f for f in features.features if isinstance(f, TouchFeature) and f.label not in ("any", "other")]
        levels: dict[str, set[str]] = {}
        for feature in features.features:
            if isinstance(feature, AttributeIs):
                levels.setdefault(feature.attribute, set()).add(feature.level)
        return cls(
            {name: "number" if name in numbers else "text" for name in sorted(features.attributes)},
            round(config.source.lag.get("touches", 0.0) * HOUR_US),
            round(config.source.lag.get("stages", 0.0) * HOUR_US),
            bool(relations & {"account_touches", "account_leads"}),
            bool(relations & {"mql", "recycled"}),
            frozenset(kind for feature in named for kind in feature.kinds),
            {name: frozenset(found) for name, found in levels.items()},
            config.workspace.hash_ids,
            columns_of(config.exclude.values()),
        )
