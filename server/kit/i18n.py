"""Languages: one gettext catalog per language, read from `.po` (or a compiled `.mo`) at start."""

import gettext
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

from babel import Locale, UnknownLocaleError
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

DOMAIN = "coldaisle"
LANGUAGES = ("en", "zh_CN")
DEFAULT_LANGUAGE = "en"


def _load(folder: Path) -> gettext.GNUTranslations | None:
    compiled, source = folder / f"{DOMAIN}.mo", folder / f"{DOMAIN}.po"
    if compiled.exists() and (not source.exists() or compiled.stat().st_mtime >= source.stat().st_mtime):
        with compiled.open("rb") as file:
            return gettext.GNUTranslations(file)
    if not source.exists():
        return None
    with source.open("rb") as file:
        catalog = read_po(file, domain=DOMAIN)
    packed = BytesIO()
    write_mo(packed, catalog)
    packed.seek(0)
    return gettext.GNUTranslations(packed)


class Translations:
    """The catalogs of `folder/<language>/LC_MESSAGES/coldaisle.po`; English needs none (its messages are the keys)."""

    def __init__(self, folder: Path) -> None:
        self._catalogs: Mapping[str, gettext.NullTranslations] = {
            language: _load(folder / language / "LC_MESSAGES") or gettext.NullTranslations() for language in LANGUAGES
        }

    def catalog(self, language: str) -> gettext.NullTranslations:
        return self._catalogs.get(language, self._catalogs[DEFAULT_LANGUAGE])

    def gettext(self, language: str, message: str) -> str:
        return self.catalog(language).gettext(message)


def match_language(accept: str | None) -> str:
    """The best of our languages for an Accept-Language header; English when none fits."""
    wanted: list[tuple[float, str]] = []
    for part in (accept or "").split(",")[:20]:
        tag, _, weight = part.strip().partition(";q=")
        try:
            wanted.append((float(weight) if weight else 1.0, tag))
        except ValueError:
            continue
    for _, tag in sorted(wanted, key=lambda pair: -pair[0]):
        try:
            spoken = Locale.parse(tag, sep="-").language
        except (ValueError, UnknownLocaleError):
            continue
        for language in LANGUAGES:
            if language.split("_")[0] == spoken:
                return language
    return DEFAULT_LANGUAGE
