"""Every text is in every catalog, translated, with the same placeholders."""

import re

from server.web.messages import catalogs, extract, read


def test_the_catalogs_hold_every_text_and_no_other() -> None:
    wanted = {message.id for message in extract() if message.id}
    assert len(wanted) > 200
    found = dict(catalogs())
    assert "zh_CN" in found
    for language, path in found.items():
        catalog = read(path, language)
        assert {message.id for message in catalog if message.id} == wanted, (
            f"{path.name} of {language}: run python -m server.web.messages and translate what is new"
        )


def test_every_text_is_translated_with_its_placeholders() -> None:
    for language, path in catalogs():
        for message in read(path, language):
            if not message.id:
                continue
            texts = [message.string] if isinstance(message.string, str) else list(message.string or ())
            first = message.id if isinstance(message.id, str) else message.id[0]
            places = sorted(re.findall(r"%\(\w+\)s", first))
            assert texts, f"{language}: {first!r} has no translation"
            assert not message.fuzzy
            for text in texts:
                assert text.strip(), f"{language}: {first!r} has no translation"
                assert sorted(re.findall(r"%\(\w+\)s", text)) == places, first
