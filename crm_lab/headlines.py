"""What stands at the top of a card or a page: a verdict's look, the one number with its bar."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from html import escape
from typing import Any, Literal, Protocol

from crm_lab import formats
from crm_lab.language import message, say

Tone = Literal["good", "bad", "wait", "unsure", "neutral"]
LightTone = Literal["good", "unsure", "bad"]
NumberKind = Literal["money", "share", "number"]

LIGHT_WORDS = {"good": message("good"), "unsure": message("mind"), "bad": message("broken")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Light:
    """One of the checks a reader looks at before believing a number.

    Attributes
    ----------
    name : str
        Which check, for people.
    tone : {"good", "unsure", "bad"}
        How it stands; bad changes the verdict.
    detail : str
        One clause with the number behind it.
    word : str
        The tone in a word.
    """

    name: str
    tone: LightTone
    detail: str
    word: str


def light(name: str, tone: LightTone, detail: str) -> Light:
    """Make a light, with the word of its tone."""
    return Light(name=name, tone=tone, detail=detail, word=say(LIGHT_WORDS[tone]))


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictLook:
    """How a verdict shows: a word, a glyph and a tone; the colour never stands alone.

    Attributes
    ----------
    word : str
        The verdict as it is printed.
    glyph : str
        One character that tells verdicts apart without colour.
    tone : str
        Name of the colour pair in the style sheet.
    """

    word: str
    glyph: str
    tone: Tone


def _look(word: str, glyph: str, tone: Tone) -> VerdictLook:
    return VerdictLook(word=word, glyph=glyph, tone=tone)


VERDICTS: dict[str, VerdictLook] = {
    "ship": _look(message("Ship"), "✓", "good"),
    "stop": _look(message("Stop"), "✕", "bad"),
    "continue": _look(message("Continue"), "→", "wait"),
    "cannot conclude": _look(message("Cannot conclude"), "?", "unsure"),
    "not decided yet": _look(message("Not decided yet"), "→", "wait"),
    "crm pays for itself": _look(message("CRM pays for itself"), "✓", "good"),
    "crm brings more sales": _look(message("CRM brings more sales"), "✓", "good"),
    "crm brings more sales; whether it pays for itself cannot be told": _look(
        message("CRM brings more sales; whether it pays for itself cannot be told"), "?", "unsure"
    ),
    "crm does not pay for itself": _look(message("CRM does not pay for itself"), "✕", "bad"),
    "crm costs sales": _look(message("CRM costs sales"), "✕", "bad"),
    "gain": _look(message("CRM brings more sales"), "✓", "good"),
    "loss": _look(message("CRM costs sales"), "✕", "bad"),
    "not yet": _look(message("Not decided yet"), "→", "wait"),
    "kept": _look(message("The intervals keep their promise"), "✓", "good"),
    "not kept": _look(message("The intervals do not keep their promise"), "!", "bad"),
    "promise kept": _look(message("The tests keep their promise"), "✓", "good"),
    "promise broken": _look(message("A test breaks its promise"), "!", "bad"),
    "group sound": _look(message("The control group is sound"), "✓", "good"),
    "group doubtful": _look(message("The control group needs a look"), "?", "unsure"),
    "group broken": _look(message("The control group is broken"), "!", "bad"),
    "on plan": _look(message("On plan"), "✓", "good"),
    "behind": _look(message("Behind"), "!", "bad"),
    "cannot tell": _look(message("Cannot tell"), "?", "unsure"),
    "best known": _look(message("The best is known"), "✓", "good"),
    "order not certain": _look(message("The order is not certain"), "?", "unsure"),
    "nothing to compare": _look(message("Nothing to compare yet"), "?", "unsure"),
    "publish": _look(message("Can be published"), "✓", "good"),
    "with care": _look(message("Use with care"), "!", "unsure"),
    "do not publish": _look(message("Do not publish"), "✕", "bad"),
    "enough": _look(message("It can see enough"), "✓", "good"),
    "only large effects": _look(message("It sees only large effects"), "!", "unsure"),
    "hopeless": _look(message("Hopeless like this"), "!", "unsure"),
    "cannot be said": _look(message("Cannot be said"), "?", "unsure"),
    "information": _look(message("For information"), "i", "neutral"),
    "target": _look(message("Contact the chosen ones"), "✓", "good"),
    "everyone": _look(message("Contact everyone"), "✓", "good"),
    "nobody": _look(message("Contact nobody"), "✕", "bad"),
    "no evidence": _look(message("No evidence for targeting"), "?", "unsure"),
}
"""The verdicts that a result may carry under the key ``verdict``."""


def verdict_look(word: str) -> VerdictLook:
    """Give the look of a verdict word in the language of the reader.

    A word that is not known is printed as it is, in neutral colour.
    """
    known = VERDICTS.get(word.strip().lower())
    if known is None:
        return VerdictLook(word=word.strip(), glyph="•", tone="neutral")
    return replace(known, word=say(known.word))


def without_verdict(sentence: str, word: str) -> str:
    """Give a sentence without the verdict at its beginning, where that stands before it anyway.

    Examples
    --------
    >>> without_verdict("Ship. It pays.", "ship")
    'It pays.'
    """
    begin = f"{verdict_look(word).word}. "
    return sentence[len(begin) :] if sentence.lower().startswith(begin.lower()) else sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadlineNumber:
    """A number that a reader takes away, with its interval.

    Attributes
    ----------
    label : str
        What it is, for people.
    estimate, low, high : float
        The number and the ends of its interval; without an interval the ends are NaN.
    kind : {"money", "share", "number"}
        How it is written.
    unit : str
        The currency, of money.
    note : str
        One sentence that keeps it from being misread; may be empty.
    reference : float
        Another value that the bar marks, such as a plan; NaN: none.
    """

    label: str
    estimate: float
    low: float = math.nan
    high: float = math.nan
    kind: NumberKind = "number"
    unit: str = ""
    note: str = ""
    reference: float = math.nan

    @property
    def is_known(self) -> bool:
        """Whether there is a number at all."""
        return math.isfinite(self.estimate)

    def text(self) -> str:
        """Write the number and its interval for people."""
        low, high = self.low, self.high
        if math.isnan(low) and math.isnan(high):
            if self.kind == "money":
                return formats.money(self.estimate, self.unit)
            return {"share": formats.percent, "number": formats.number}[self.kind](self.estimate)
        if self.kind == "money":
            return formats.money_interval(self.estimate, low, high, self.unit)
        write = formats.percent_interval if self.kind == "share" else formats.number_interval
        return write(self.estimate, low, high)

    def sentence(self) -> str:
        """Write the number with its label and its note."""
        said = f"{self.label}: {self.text()}"
        return f"{said}. {self.note}" if self.note else said

    def to_dict(self) -> dict[str, Any]:
        """Give the number as data, with the text that is shown."""
        ends = {"estimate": self.estimate, "low": self.low, "high": self.high}
        found = {name: value if math.isfinite(value) else None for name, value in ends.items()}
        more = {"reference": self.reference} if math.isfinite(self.reference) else {}
        return {
            "label": self.label,
            "text": self.text(),
            **found,
            "kind": self.kind,
            "unit": self.unit,
            "note": self.note,
            **more,
        }


class Amount(Protocol):
    """Whatever has an estimate and the ends of its interval."""

    @property
    def estimate(self) -> float:
        """The estimate."""

    @property
    def low(self) -> float:
        """The lower end."""

    @property
    def high(self) -> float:
        """The upper end."""


def money_number(label: str, amount: Amount, *, currency: str) -> HeadlineNumber:
    """Give an amount with its interval as a number of a card or page."""
    return HeadlineNumber(
        label=label,
        estimate=amount.estimate,
        low=amount.low,
        high=amount.high,
        kind="money",
        unit=currency,
    )


_WIDTH, _HEIGHT, _BAND, _EDGE = 300.0, 34.0, 24.0, 8.0
_STRONG, _DASHED = 'stroke-width="1.5"', 'stroke-dasharray="2 2"'


def bar_svg(number: Mapping[str, Any], *, label: str = "") -> str:
    """Draw an interval as a bar against zero; nothing where there is no interval.

    Parameters
    ----------
    number : mapping
        As :meth:`HeadlineNumber.to_dict` gives it; one end may be None, then it is open.
    label : str
        Text for people who cannot see it; by default label and text of the number.

    Returns
    -------
    str
        Inline SVG in the colour of the text around it, without script and identifiers.
    """
    estimate, low, high, mark = (
        _finite(number.get(name)) for name in ("estimate", "low", "high", "reference")
    )
    if estimate is None or (low is None and high is None):
        return ""
    ends = [0.0, estimate, *(end for end in (low, high, mark) if end is not None)]
    least, most = min(ends), max(ends)
    if most == least:
        return ""
    scale = (_WIDTH - 2 * _EDGE) / (most - least)

    def at(value: float | None, otherwise: float) -> float:
        return otherwise if value is None else round(_EDGE + (value - least) * scale, 1)

    left, right = at(low, 0.0), at(high, _WIDTH)
    zero, point = at(0.0, 0.0), at(estimate, 0.0)
    middle = _BAND / 2
    said = label or f"{number.get('label', '')}: {number.get('text', '')}"
    plan = "" if mark is None else _line(at(mark, 0.0), 3, _BAND - 3, _DASHED)
    return (
        f'<svg class="crm-bar" role="img" aria-label="{escape(said)}" viewBox="0 0 {_WIDTH:g} '
        f'{_HEIGHT:g}" width="{_WIDTH:g}" height="{_HEIGHT:g}" fill="currentColor" '
        'stroke="currentColor">'
        f'<path d="M0 {middle:g}H{_WIDTH:g}" stroke-opacity=".3"/>'
        f'<rect x="{left:g}" y="{middle - 5:g}" width="{max(right - left, 1):g}" height="10" '
        'fill-opacity=".3" stroke="none"/>'
        f"{_line(zero, 1, _BAND, _STRONG)}{plan}"
        f'<circle cx="{point:g}" cy="{middle:g}" r="5" stroke="none"/>'
        f'<text x="{zero:g}" y="{_HEIGHT - 1:g}" font-size="10" text-anchor="middle" stroke="none">'
        "0</text></svg>"
    )


def _line(x: float, top: float, bottom: float, look: str) -> str:
    return f'<path d="M{x:g} {top:g}V{bottom:g}" {look}/>'


def _finite(value: Any) -> float | None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if is_number and math.isfinite(value) else None
