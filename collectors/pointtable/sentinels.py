"""Raw values that mean "no data", where a text says so: `65535 = invalid`, `0x7FFF 无效`, `无效值：65535`. Pure."""

import re
import unicodedata

# A value below this may as well be a state or a measurement: 0 "invalid" is a word of many an enumeration.
LEAST = 255
_VALUE = r"(?<![0-9A-Za-z.~-])(-?0[xX][0-9A-Fa-f]{2,16}|-?[0-9]{1,20})(?![0-9A-Za-z.~]|-[0-9])"
_WORD = (
    r"(?:无效|无数据|无信号|不可用|未接|未安装|未配置|传感器故障|断线|invalid|no ?data|n/?a\b|not ?available"
    r"|unavailable|not ?(?:connected|installed|present|used)|sensor ?(?:fault|fail|error))"
)
_BETWEEN = r"\s*(?:[=:(→-]+|表示|代表|即|为|则为|时为|时|means|is|indicates?)?\s*"
_BEHIND = re.compile(rf"((?:{_VALUE}\s*(?:[/,、]|或|or)\s*)?{_VALUE}){_BETWEEN}{_WORD}", re.IGNORECASE)
_BEFORE = re.compile(rf"{_WORD}(?:值| ?values?)?{_BETWEEN}({_VALUE})", re.IGNORECASE)
_ALONE = re.compile(_VALUE)


def no_data(text: str) -> tuple[int, ...]:
    """The values a text calls invalid, each once; empty where it names none."""
    shown = unicodedata.normalize("NFKC", text)
    found: dict[int, None] = {}
    for pattern in (_BEHIND, _BEFORE):
        for said in pattern.finditer(shown):
            for word in _ALONE.findall(said[1]):
                value = int(word, 16 if "x" in word.lower() else 10)
                if value < 0 or value >= LEAST:
                    found.setdefault(value)
    return tuple(found)
