"""The three signs on top of the board, each with what decided it and what to do next."""

from __future__ import annotations

import math
from collections.abc import Mapping

from alignment.board.context import BoardContext
from alignment.signs import TOO_FEW, Measure, Sign, fewest_of
from pages.board_parts import SignTile
from pages.report_parts import Badge, Cell, columns, make_table

__all__ = ["TONES", "measure_sentence", "sign_tile"]

TONES: Mapping[str, str] = {"aligned": "good", "watch": "care", "misaligned": "bad", "unknown": "plain"}


def sign_tile(sign: Sign, context: BoardContext) -> SignTile:
    """Return a sign as it is shown."""
    words = context.words
    worst = sign.worst
    serious = [measure for measure in sign.measures if measure.level == sign.level and sign.level != "unknown"]
    shown = serious if sign.level in ("watch", "misaligned") else [worst] if worst is not None else []
    evidence = tuple(measure_sentence(measure, context) for measure in shown)
    next_step = words(f"board.next.{worst.key}") if worst is not None and sign.level in ("watch", "misaligned") else ""
    rows: list[tuple[Cell, ...]] = []
    for measure in sign.measures:
        levels = measure.levels
        rows.append(
            (
                words(f"board.sign_measure.{measure.key}"),
                Badge(words(f"board.level.{measure.level}"), TONES[measure.level]),
                context.share(measure.value),
                context.ends(measure.low, measure.high),
                context.formats.round_percent(levels.watch),
                context.formats.round_percent(levels.misaligned),
                words(f"board.sign_rule.{measure.key}") if not measure.lacks else _lacks(measure, context),
            )
        )
    heads = columns(
        words, "board_column", "measured:w", "level", "share:n", "interval:n", "watch_from:n", "bad_from:n", "rule:w"
    )
    table = make_table(
        words("board.signs.table", sign=words(f"board.sign.{sign.key}")), heads, rows, name=f"sign_{sign.key}"
    )
    return SignTile(
        f"sign-{sign.key}",
        words(f"board.sign.{sign.key}"),
        words(f"board.sign_asks.{sign.key}"),
        words(f"board.level.{sign.level}"),
        TONES[sign.level],
        evidence or (words("board.signs.unknown"),),
        next_step,
        table,
    )


def _lacks(measure: Measure, context: BoardContext) -> str:
    if measure.lacks == TOO_FEW:
        return context.words(
            "board.signs.too_few", n=context.formats.number(measure.of), least=str(fewest_of(measure.key))
        )
    return context.words("board.signs.lacks", table=measure.lacks)


def measure_sentence(measure: Measure, context: BoardContext) -> str:
    """Return what one measure found, in words."""
    formats, facts = context.formats, measure.facts
    values = {
        "value": context.share(measure.value),
        "interval": context.ends(measure.low, measure.high),
        "n": formats.number(measure.of),
    }
    if measure.key == "conversion_fall":
        end = "won" if facts["is_won"] else "sql"
        values["step"] = context.words(f"board.step.mql_{end}")
        values["volume"] = formats.percent(abs(facts["volume"]))
        values |= {"before": formats.percent(facts["before"]), "after": formats.percent(facts["after"])}
        values |= {"months": formats.number(facts["months"]), "value": formats.percent(abs(measure.value))}
        up, fell = facts["volume"] >= 0, measure.value >= 0
        return context.words(
            f"board.evidence.conversion_{'rise' if up else 'drop'}_{'fall' if fell else 'gain'}", **values
        )
    if measure.key == "unused_content":
        values["cost"] = context.money(facts.get("cost", math.nan))
    if measure.key == "diverging_expectations":
        values |= {name: formats.number(facts.get(name, 0.0)) for name in ("missing", "diverging")}
    return context.words(f"board.evidence.{measure.key}", **values)
