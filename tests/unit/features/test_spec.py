"""The list of features: names, fingerprint, JSON, words."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest

from crm.errors import BundleError
from features.feature import Feature
from features.known import DAY_US, Arrivals, Change, KnownLead
from features.known_leads import KnownLeads
from features.known_touches import Cell, Cells, KindPool, KnownTouches
from features.lead_features import (
    AccountLeads,
    AttributeIs,
    AttributeMissing,
    AttributeNumber,
    AttributeOther,
    LeadAge,
    StageAge,
)
from features.phrases import Phrases
from features.spec import FeatureSet, feature_from_json
from features.touch_features import ActiveDaysIn, CountIn, DistinctIn, SessionsIn, ValueIn
from features.touch_times import DecayedSum, Recency, Velocity
from features.words import kind_words

ONE_OF_EACH: tuple[Feature, ...] = (
    CountIn("visit", ("visit",), window_days=7),
    ValueIn("visit", ("visit",), window_days=7),
    DistinctIn("any", window_days=30),
    ActiveDaysIn("any", window_days=30),
    SessionsIn("any", window_days=7),
    Recency("any", scope="account"),
    DecayedSum("other", ("visit",), half_life_days=3),
    Velocity("any"),
    LeadAge(),
    AccountLeads(),
    StageAge("mql"),
    AttributeNumber("employees"),
    AttributeIs("industry", "日本"),
    AttributeOther("industry", ("日本",)),
    AttributeMissing("industry"),
)


class TestFeatureSet:
    def test_json_keeps_everything(self) -> None:
        features = FeatureSet(ONE_OF_EACH)
        read = FeatureSet.from_json(json.loads(json.dumps(features.to_json())))
        assert read == features
        assert read.fingerprint == features.fingerprint

    def test_any_change_changes_the_fingerprint(self) -> None:
        features = FeatureSet(ONE_OF_EACH)
        others = [
            FeatureSet(ONE_OF_EACH[1:]),
            FeatureSet(ONE_OF_EACH[::-1]),
            FeatureSet((replace(ONE_OF_EACH[0], window_days=8), *ONE_OF_EACH[1:])),
            FeatureSet((replace(ONE_OF_EACH[0], kinds=("visits",)), *ONE_OF_EACH[1:])),
        ]
        assert len({features.fingerprint, *(other.fingerprint for other in others)}) == 5

    def test_two_features_of_one_name_are_refused(self) -> None:
        with pytest.raises(ValueError, match="Two features are called 'any_velocity'"):
            FeatureSet((Velocity("any"), Velocity("any")))

    def test_an_unknown_kind_is_refused_not_skipped(self) -> None:
        with pytest.raises(
            BundleError, match="a feature of kind 'Horoscope'; expected one of AccountLeads, ActiveDaysIn"
        ):
            feature_from_json({"feature": "Horoscope"})

    def test_signals_group_features(self) -> None:
        features = FeatureSet((CountIn("visit", ("visit",)), LeadAge(), Recency("visit", ("visit",))))
        assert features.signals == ("visit", "freshness")
        assert features.signal_of.tolist() == [0, 1, 0]

    def test_age_and_silence_are_one_signal(self) -> None:
        """An old lead may be silent for long: beside its age, a long silence would look like a good sign."""
        features = FeatureSet((LeadAge(), Recency("any"), Recency("any", scope="account"), CountIn("any")))
        assert features.signals == ("freshness", "account_any", "any")
        assert features.signal_of.tolist() == [0, 0, 1, 2]

    def test_attributes_are_those_that_are_read(self) -> None:
        assert FeatureSet(ONE_OF_EACH).attributes == {"employees", "industry"}

    def test_features_are_frozen(self) -> None:
        with pytest.raises(FrozenInstanceError):
            ONE_OF_EACH[0].label = "x"  # type: ignore[attr-defined]


class TestRow:
    def test_what_is_not_known_is_put_aside(self) -> None:
        lead = KnownLead(
            created_us=0,
            attributes={"employees": 5.0},
            changes={"employees": (Change(10, 7.0), Change(20, None))},
            touches=Arrivals.of([1, 5, 9], [1, 30, 9]),
            account_leads_us=(3, 15, 40),
            account_leads_until_us=(18,),
            mql=Arrivals.of([12]),
        )
        features = FeatureSet((CountIn("any"), AttributeNumber("employees"), AccountLeads(), StageAge("mql")))
        expected = [
            [0, 5, 0, np.nan],
            [1, 5, 1, np.nan],
            [2, 7, 1, np.nan],
            [2, 7, 2, 3 / DAY_US],
            [2, np.nan, 1, 8 / DAY_US],
            [3, np.nan, 2, 28 / DAY_US],
        ]
        moments = (1, 9, 10, 15, 20, 40)
        np.testing.assert_allclose([features.row(lead, moment) for moment in moments], expected)
        np.testing.assert_allclose(features.rows([lead] * len(moments), np.array(moments)), expected)

    def test_no_leads_have_no_rows(self) -> None:
        assert FeatureSet(ONE_OF_EACH).rows([], np.array([], dtype=np.int64)).shape == (0, len(ONE_OF_EACH))

    def test_a_feature_alone_says_what_it_says_among_others(self) -> None:
        lead = KnownLead(0, {}, touches=Arrivals.of([1, 5, 9], kind=["visit", "call", "call"]))
        features = FeatureSet((CountIn("call", ("call",)), CountIn("other", ("call",)), *ONE_OF_EACH))
        known = KnownLeads([lead, lead], np.array([9, 10]), {"visit": 0, "call": 1})
        alone = np.stack([feature.values(known) for feature in features.features], axis=1)
        np.testing.assert_array_equal(alone, features.rows([lead, lead], np.array([9, 10])))
        assert alone[:, 0].tolist() == [1, 2]

    def test_kinds_that_no_feature_names_are_one(self) -> None:
        """Kinds are an open set: a caller that makes up many of them is not given a table for each."""
        touches = Arrivals.of(list(range(100)), kind=[f"kind {number}" for number in range(100)])
        cells = Cells([Cell("count", 0, KindPool(("kind 7",), is_rest=True))], {"kind 7": 0})
        known = KnownTouches([touches], np.array([100]), {"kind 7": 0})
        assert known.cells(cells).tolist() == [[99]]
        assert known._table("count", True, (0,)).shape == (2, 1)

    def test_arrivals_are_put_in_order(self) -> None:
        arrivals = Arrivals.of([9, 1], [10, 11], ["b", "a"], [None, "c"], [None, 2.0], [50, 12])
        assert arrivals.kind.tolist() == ["a", "b"]
        assert arrivals.content_id.tolist() == ["c", ""]
        known = KnownTouches([arrivals, None, arrivals], np.array([11, 11, 12]))
        assert known.happened_us.tolist() == [1, 9, 9]
        assert known.lead.tolist() == [0, 0, 2]

    @pytest.mark.parametrize(("value", "number"), [("12", 12.0), ("many", np.nan), ("inf", np.nan), (True, 1.0)])
    def test_a_number_that_came_as_something_else(self, value: str | bool, number: float) -> None:
        lead = KnownLead(0, {"size": value})
        assert FeatureSet((AttributeNumber("size"),)).row(lead, 1)[0] == pytest.approx(number, nan_ok=True)


class TestWords:
    @pytest.mark.parametrize("feature", ONE_OF_EACH, ids=lambda feature: feature.name)
    def test_both_languages_say_something_of_every_value(self, feature: Feature) -> None:
        for value in (0.0, 0.4, 1.0, 3.0, 250.0, np.nan):
            english, japanese = feature.words(value, "en"), feature.words(value, "ja")
            assert (english is None) == (japanese is None)
            if english is not None and japanese is not None:
                assert "nan" not in english + japanese
                assert english
                assert japanese

    def test_which_values_speak_is_known_without_their_words(self) -> None:
        features = FeatureSet((*ONE_OF_EACH, Recency("any")))
        values = np.array([0.0, 0.4, 1.0, 3.0, 250.0, np.nan])
        expected = [[feature.words(value, "en") is not None for feature in features.features] for value in values]
        assert features.speak(np.tile(values[:, None], len(features.features))).tolist() == expected

    def test_phrases_are_the_words_and_are_kept(self) -> None:
        features = FeatureSet(ONE_OF_EACH)
        for language, phrases in features.phrases.items():
            for number, feature in enumerate(features.features):
                for value in (0.0, 1.0, float("nan")):
                    said = phrases.say(number, value)
                    assert said == feature.words(value, language)
                    assert phrases.say(number, value) is said

    def test_words_of_an_age_are_those_of_its_whole_days(self) -> None:
        features = FeatureSet(ONE_OF_EACH)
        ages = np.array([0.0, 0.4, 0.5, 0.7, 1.0, 1.4, 1.5, 1.6, 2.5, 3.5, 364.6, np.nan])
        for number, feature in enumerate(features.features):
            said = features.as_said(ages, np.full(len(ages), number))
            assert len(set(said.tolist())) < len(ages) or feature.shape != "days"
            for language in ("en", "ja"):
                assert [feature.words(age, language) for age in said.tolist()] == [
                    feature.words(age, language) for age in ages.tolist()
                ]

    def test_not_every_phrase_is_kept_for_ever(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("features.phrases.MOST_KEPT", 2)
        phrases = Phrases((LeadAge(),), "en")
        for days in (3.0, 4.0, 5.0, 3.0):
            assert phrases.say(0, days) == f"a lead for {days:.0f} days"
            assert len(phrases._known) <= 2

    def test_nothing_is_claimed_of_an_account_that_is_not_known(self) -> None:
        for feature in (CountIn("any", scope="account"), Velocity("any", scope="account"), AccountLeads()):
            assert feature.words(np.nan, "en") is None
            assert feature.words(0.0, "en") is not None

    def test_the_raw_fact_is_said(self) -> None:
        assert CountIn("download", ("download",), window_days=7).words(3, "en") == "3 downloads in the last 7 days"
        assert CountIn("download", ("download",), window_days=7).words(3, "ja") == "直近7日間に資料ダウンロード3回"
        assert CountIn("download", ("download",), window_days=7).words(1, "en") == "1 download in the last 7 days"
        assert Recency("visit", ("visit",)).words(np.nan, "en") == "no visits yet"
        assert Recency("visit", ("visit",)).words(1.2, "en") == "last visit 1 day ago"
        assert ValueIn("visit", ("visit",), window_days=7).words(30, "en") == (
            "visits with a value of 30 in the last 7 days"
        )
        assert AttributeIs("industry", "Software").words(1, "en") == "industry: Software"
        assert AttributeIs("industry", "Software").words(0, "en") is None

    def test_a_kind_called_like_a_pool_is_said_by_its_name(self) -> None:
        assert kind_words("kind.account_visit", "en") == "account visit"

    def test_noisy_pooled_and_account_features_have_no_imposed_sign(self) -> None:
        assert CountIn("visit", ("visit",)).direction == 1
        assert Recency("visit", ("visit",)).direction == -1
        for free in (CountIn("email_open", ("email_open",)), CountIn("other", ()), CountIn("any", scope="account")):
            assert free.direction == 0
