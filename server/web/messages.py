"""The texts of the pages and their catalogs. `python -m server.web.messages` brings every catalog up to date.

New texts arrive in the catalog without a translation, texts that are gone leave it; a test refuses a catalog that
lacks any.
"""

from collections.abc import Iterator
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po, write_po

from server.kit.i18n import DOMAIN

WEB = Path(__file__).parent
_METHODS = [("**.py", "python"), ("**.html", "jinja2")]
_KEYWORDS = {"_": None, "N_": None, "gettext": None, "nN_": (1, 2)}


def catalogs() -> Iterator[tuple[str, Path]]:
    """(language, file) of every catalog."""
    for path in sorted((WEB / "locale").glob(f"*/LC_MESSAGES/{DOMAIN}.po")):
        yield path.parent.parent.name, path


def extract() -> Catalog:
    """Every text the pages can show."""
    found = Catalog(domain=DOMAIN)
    options = {"**.html": {"newstyle_gettext": "true", "trimmed": "true", "silent": "false"}}
    for name, line, message, comments, context in extract_from_dir(
        WEB, method_map=_METHODS, options_map=options, keywords=_KEYWORDS
    ):
        found.add(message, None, [(name, line)], auto_comments=comments, context=context)
    return found


def read(path: Path, language: str) -> Catalog:
    with path.open("rb") as file:
        return read_po(file, locale=language, domain=DOMAIN)


def update() -> None:
    template = extract()
    for language, path in catalogs():
        catalog = read(path, language)
        catalog.update(template, no_fuzzy_matching=True)
        catalog.obsolete.clear()
        with path.open("wb") as file:
            write_po(file, catalog, no_location=True, sort_output=True, omit_header=False, width=120)


if __name__ == "__main__":
    update()
