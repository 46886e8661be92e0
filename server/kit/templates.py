"""Jinja2 with the language, zone and units of the person who reads."""

from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import jinja2
from babel import Locale
from babel.dates import format_date, format_datetime
from babel.numbers import format_decimal

from facility.severity import LABELS_EN, LABELS_ZH, Severity
from server.kit.i18n import LANGUAGES, Translations


def local_time(at: datetime | None, zone: str, language: str, pattern: str = "yyyy-MM-dd HH:mm:ss") -> str:
    """Wall time in `zone`; a dash for None."""
    if at is None:
        return "–"
    return str(format_datetime(at, pattern, tzinfo=ZoneInfo(zone), locale=Locale.parse(language)))


def quantity(value: float | None, unit: str, language: str, decimals: int = 1) -> str:
    """A number with its unit, a thin space between; a dash for None."""
    if value is None:
        return "–"
    number = format_decimal(
        value, format=f"#,##0.{'0' * decimals}" if decimals else "#,##0", locale=Locale.parse(language)
    )
    return f"{number}\u202f{unit}" if unit else str(number)


class Templates:
    """Renders `name` for a language and a zone. Folders are searched in order; values are escaped."""

    def __init__(self, translations: Translations, folders: Sequence[Path]) -> None:
        self._environments = {language: self._environment(translations, folders, language) for language in LANGUAGES}

    def _environment(self, translations: Translations, folders: Sequence[Path], language: str) -> jinja2.Environment:
        env = jinja2.Environment(
            loader=jinja2.FileSystemLoader([str(folder) for folder in folders]),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            extensions=["jinja2.ext.i18n"],
            trim_blocks=True,
            lstrip_blocks=True,
        )
        catalog = translations.catalog(language)
        env.install_gettext_translations(catalog, newstyle=True)  # type: ignore[attr-defined]

        @jinja2.pass_context
        def local(context: jinja2.runtime.Context, at: datetime | None, zone: str | None = None) -> str:
            return local_time(at, zone or context["zone"], language)

        def day(on: date | None) -> str:
            return "–" if on is None else str(format_date(on, "yyyy-MM-dd", locale=Locale.parse(language)))

        def unit(value: float | None, text: str = "", decimals: int = 1) -> str:
            return quantity(value, text, language, decimals)

        def severity(value: str) -> str:
            return (LABELS_ZH if language == "zh_CN" else LABELS_EN)[Severity(value)]

        env.filters.update(local_time=local, day=day, quantity=unit, severity=severity)
        return env

    def render(self, name: str, *, language: str, zone: str, **context: Any) -> str:
        """The text of a template; `language` and `zone` are visible in it. Raises when a variable is missing."""
        env = self._environments.get(language, self._environments["en"])
        return env.get_template(name).render(language=language, zone=zone, **context)
