from dataclasses import replace

import pytest

from pages.formats import Formats
from pages.report_data import Estimate, ModelReport
from pages.report_readings import has_interval, metric_interval, metric_text, verdict_of
from pages.words import load_words

WORDS = load_words("en")
FORMATS = Formats(WORDS, "JPY")


@pytest.mark.parametrize(
    ("metric", "estimate", "tone"),
    [
        ("auc", Estimate(0.7, 0.6, 0.8), "good"),
        ("auc", Estimate(0.6, 0.49, 0.7), "care"),
        ("auc", Estimate(0.6), "plain"),
        ("lift_at_10", Estimate(2.0, 0.9, 3.0), "care"),
        ("observed_over_expected", Estimate(1.1, 0.9, 1.3), "good"),
        ("observed_over_expected", Estimate(1.4, 1.2, 1.6), "care"),
        ("calibration_slope", Estimate(0.8, 0.7, 0.9), "care"),
        ("ece", Estimate(0.012), "good"),
        ("ece", Estimate(0.03), "care"),
        ("log_loss", Estimate(0.20, 0.19, 0.21), "good"),
        ("log_loss", Estimate(0.20, 0.19, 0.30), "plain"),
        ("log_loss", Estimate(0.26, 0.25, 0.27), "care"),
        ("average_precision", Estimate(0.1, 0.05, 0.2), "plain"),
        ("auc", Estimate(float("nan")), "plain"),
    ],
)
def test_a_verdict_says_no_more_than_the_interval(
    report: ModelReport, metric: str, estimate: Estimate, tone: str
) -> None:
    metrics = {"ece_null": Estimate(0.01), "ece_null_95": Estimate(0.02), metric: estimate}
    endpoint = replace(report.endpoints[0], metrics=metrics, base={"log_loss": 0.25})
    assert verdict_of(metric, endpoint, WORDS)[1] == tone


def test_the_side_of_a_bias_is_named(report: ModelReport) -> None:
    def said(metric: str, low: float, high: float) -> str:
        endpoint = replace(report.endpoints[0], metrics={metric: Estimate((low + high) / 2, low, high)})
        return verdict_of(metric, endpoint, WORDS)[0]

    assert said("observed_over_expected", 1.1, 1.3) == "Predicts too few"
    assert said("observed_over_expected", 0.7, 0.9) == "Predicts too many"
    assert said("calibration_slope", 1.1, 1.3) == "Too cautious"
    assert said("calibration_slope", 0.7, 0.9) == "Too extreme"


def test_an_interval_that_is_its_own_value_is_none() -> None:
    assert not has_interval(Estimate(0.1, 0.1, 0.1))
    assert metric_interval("ece_null", Estimate(0.1, 0.1, 0.1), FORMATS) == "–"


def test_measures_carry_their_units() -> None:
    assert metric_text("ece", 0.0123, FORMATS) == "1.23 pp"
    assert metric_text("lift_at_10", 3.42, FORMATS) == "3.4×"
    assert metric_interval("lift_at_10", Estimate(3.0, 2.0, 4.0), FORMATS) == "2.0 to 4.0×"
    assert metric_interval("auc", Estimate(0.7, 0.65, 0.75), FORMATS) == "0.650 to 0.750"
