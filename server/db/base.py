"""The declarative base of every table in the main database."""

from datetime import datetime
from typing import Annotated, Any, cast

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, mapped_column

from server.db.types import ID_LENGTH, UtcDateTime, json_type

# Every constraint has a name that a later migration can drop.
NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

# A UUIDv7 in its 36-character text, made by `facility.ids.new_id(to_ms(now))`.
Id = Annotated[str, mapped_column(sa.String(ID_LENGTH))]
PrimaryId = Annotated[str, mapped_column(sa.String(ID_LENGTH), primary_key=True)]
Json = Annotated[Any, mapped_column(json_type(), nullable=False)]
JsonOrNull = Annotated[Any, mapped_column(json_type(), nullable=True)]


class Base(DeclarativeBase):
    """Tables of `main.db`. Times are `Mapped[datetime]`, always aware UTC."""

    metadata = sa.MetaData(naming_convention=NAMING)
    type_annotation_map = {datetime: UtcDateTime()}  # noqa: RUF012 - SQLAlchemy reads a plain dict from the class


def table_of(model: type[Base]) -> sa.Table:
    """The bare table: a statement over it alone is cheaper than the ORM's, and changes no entities."""
    return cast(sa.Table, model.__table__)
