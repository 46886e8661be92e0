"""One request is one transaction, one principal and one scope: the route class and the dependencies of endpoints.

Every router of ours is `APIRouter(route_class=UnitRoute)`. The transaction opens when an endpoint asks for a session
(after the body was read and the caller recognised) and is committed before the answer is sent.
"""

from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from datetime import datetime
from typing import Annotated, Any, ClassVar, TypeVar

from fastapi import Depends, Request, Response, Security
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer

from server.db.session import Database, ReadSession, WriteSession
from server.kit.context import Authenticator, Kit, Services
from server.kit.csrf import refuse_forged
from server.kit.idempotency import Attempt
from server.kit.principal import Permission, Principal
from server.kit.problems import Forbidden, Unauthenticated
from server.kit.scope import Scope

S = TypeVar("S")
_BEARER = HTTPBearer(auto_error=False, description="An API token made by `coldaisle server token create`")


class Unit:
    """The unit of work of one request: at most one transaction, opened when first asked for."""

    def __init__(self, db: Database, stack: AsyncExitStack, attempt: Attempt | None) -> None:
        self._db = db
        self._stack = stack
        self._attempt = attempt
        self._write: WriteSession | None = None
        self._read: ReadSession | None = None

    async def write(self) -> WriteSession:
        if self._write is None:
            self._write = await self._stack.enter_async_context(self._db.write())
            if self._attempt is not None:
                await self._attempt.begin(self._write)
        return self._write

    async def read(self) -> ReadSession:
        if self._write is not None:
            return self._write
        if self._read is None:
            self._read = await self._stack.enter_async_context(self._db.read())
        return self._read

    async def finish(self, response: Response) -> None:
        if self._attempt is not None and self._write is not None:
            await self._attempt.finish(self._write, response)


class UnitRoute(APIRoute):
    """Recognises the caller, refuses forged forms, and wraps the endpoint in a unit of work."""

    # Signing in looks at no session: somebody with an old one must be able to sign in anew.
    signs_in: ClassVar[bool] = False

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        endpoint = super().get_route_handler()

        async def handle(request: Request) -> Response:
            kit = kit_of(request)
            authenticate = services_of(request).get(Authenticator)  # type: ignore[type-abstract]
            principal = None if self.signs_in else await authenticate(request)
            request.state.principal = principal
            await refuse_forged(request, principal, kit.signer)
            attempt = await Attempt.of(request, principal, kit.clock.now())
            async with AsyncExitStack() as stack:
                unit = request.state.unit = Unit(kit.db, stack, attempt)
                if attempt is not None and (stored := await attempt.stored(kit.db)) is not None:
                    return stored
                response = await endpoint(request)
                await unit.finish(response)
            return response

        return handle


class SignInRoute(UnitRoute):
    """The route class of sign-in endpoints and forms."""

    signs_in = True


def kit_of(request: Request) -> Kit:
    kit: Kit = request.app.state.kit
    return kit


def services_of(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


def _now(request: Request) -> datetime:
    return kit_of(request).clock.now()


def _unit(request: Request) -> Unit:
    unit: Unit = request.state.unit
    return unit


async def _write_session(request: Request) -> WriteSession:
    return await _unit(request).write()


async def _read_session(request: Request) -> ReadSession:
    return await _unit(request).read()


def current_principal(request: Request, _documented: Annotated[object, Security(_BEARER)] = None) -> Principal:
    """The caller; 401 when nobody is signed in."""
    principal: Principal | None = request.state.principal
    if principal is None:
        raise Unauthenticated(
            "send a session cookie or `Authorization: Bearer TOKEN`", headers={"WWW-Authenticate": "Bearer"}
        )
    return principal


Now = Annotated[datetime, Depends(_now)]
Write = Annotated[WriteSession, Depends(_write_session)]
Read = Annotated[ReadSession, Depends(_read_session)]
# For an endpoint that must do something slow before its transaction begins: `session = await unit.write()`.
TheUnit = Annotated[Unit, Depends(_unit)]
Caller = Annotated[Principal, Depends(current_principal)]
TheKit = Annotated[Kit, Depends(kit_of)]


def require(permission: Permission) -> Any:
    """A dependency that answers 403 without `permission`, and else gives the caller's Scope."""

    def check(principal: Caller) -> Scope:
        if not principal.may(permission):
            raise Forbidden(f"your role does not allow {permission.value}", code="role")
        return Scope.of(principal)

    return Depends(check)


def require_unlimited(permission: Permission) -> Any:
    """As `require`, for what concerns the whole installation: a caller limited to customers or sites gets 403."""

    def check(principal: Caller) -> Scope:
        scope = Scope.of(principal)
        if not principal.may(permission) or not scope.unlimited:
            raise Forbidden(f"{permission.value} needs a role without customer or site limits", code="role")
        return scope

    return Depends(check)


def provide(kind: type[S]) -> Any:
    """A dependency that gives the service registered under `kind`."""

    def find(request: Request) -> S:
        return services_of(request).get(kind)

    return Depends(find)
