"""The manners of request bodies and answers, and the field types that several domains share."""

from typing import Annotated
from zoneinfo import available_timezones

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from facility.ids import SLUG
from server.kit.i18n import LANGUAGES


def _slug(text: str) -> str:
    if SLUG.fullmatch(text) is None:
        raise ValueError("1 to 63 of a-z 0-9 _ -, beginning and ending with a letter or digit")
    return text


def _zone(text: str) -> str:
    if text not in available_timezones():
        raise ValueError("an IANA time zone, such as Asia/Shanghai")
    return text


def _language(text: str) -> str:
    if text not in LANGUAGES:
        raise ValueError(f"one of {', '.join(LANGUAGES)}")
    return text


Slug = Annotated[str, AfterValidator(_slug)]
Zone = Annotated[str, AfterValidator(_zone)]
Language = Annotated[str, AfterValidator(_language)]
Name = Annotated[str, Field(min_length=1, max_length=200)]


class Body(BaseModel):
    """A request body: unknown fields are an error, not silently dropped."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    def changes(self) -> dict[str, object]:
        """The fields a PATCH really carries; null means "leave it", as absence does."""
        return self.model_dump(exclude_unset=True, exclude_none=True)


class Shown(BaseModel):
    """An answer, made from a row by `model_validate(row)`."""

    model_config = ConfigDict(from_attributes=True)
