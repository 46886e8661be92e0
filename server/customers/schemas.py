"""What the API takes and shows of customers."""

from datetime import datetime

from pydantic import Field

from server.kit.schemas import Body, Name, Shown, Slug, Zone


class CustomerIn(Body):
    code: Slug
    name: Name


class CustomerChange(Body):
    name: Name | None = None
    active: bool | None = None


class CustomerOut(Shown):
    id: str
    code: str
    name: str
    active: bool
    version: int
    created_at: datetime
    updated_at: datetime


class SiteIn(Body):
    customer: str = Field(description="id of the customer")
    code: Slug
    name: Name
    region: str = Field(default="", max_length=100)
    zone: Zone = "Asia/Shanghai"
    address: str = Field(default="", max_length=500)


class SiteChange(Body):
    name: Name | None = None
    region: str | None = Field(default=None, max_length=100)
    zone: Zone | None = None
    address: str | None = Field(default=None, max_length=500)
    active: bool | None = None


class SiteOut(Shown):
    id: str
    customer_id: str
    code: str
    name: str
    region: str
    zone: str
    address: str
    active: bool
    version: int
    created_at: datetime
    updated_at: datetime


class RoomIn(Body):
    site: str = Field(description="id of the site")
    code: Slug
    name: Name
    thresholds: Slug = "gb50174-2017"


class RoomChange(Body):
    name: Name | None = None
    thresholds: Slug | None = None
    active: bool | None = None


class RoomOut(Shown):
    id: str
    customer_id: str
    site_id: str
    code: str
    name: str
    thresholds: str
    active: bool
    version: int
    created_at: datetime
    updated_at: datetime


class ContactIn(Body):
    customer: str = Field(description="id of the customer")
    site: str | None = Field(default=None, description="id of the site, when the contact is for one site only")
    name: Name
    duty: str = Field(default="", max_length=100)
    phone: str = Field(default="", max_length=50)
    email: str = Field(default="", max_length=200)


class ContactChange(Body):
    name: Name | None = None
    duty: str | None = Field(default=None, max_length=100)
    phone: str | None = Field(default=None, max_length=50)
    email: str | None = Field(default=None, max_length=200)
    active: bool | None = None


class ContactOut(Shown):
    id: str
    customer_id: str
    site_id: str | None
    name: str
    duty: str
    phone: str
    email: str
    active: bool
    version: int
    created_at: datetime
    updated_at: datetime
