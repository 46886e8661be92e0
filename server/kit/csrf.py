"""Forged requests: a browser sends the session cookie by itself, so a change must also carry a token of the page.

HTML forms carry it as field `csrf_token`, htmx and scripts as header `X-CSRF-Token`. Bearer tokens need none.
"""

from fastapi import Request

from server.kit.principal import Principal
from server.kit.problems import Forbidden
from server.kit.secrets import Signer

FIELD = "csrf_token"
HEADER = "X-CSRF-Token"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


def csrf_token(principal: Principal, signer: Signer) -> str:
    """The token for pages shown to this session; empty for a caller without a browser session."""
    return signer.sign("csrf", principal.session) if principal.session else ""


async def refuse_forged(request: Request, principal: Principal | None, signer: Signer) -> None:
    """Raises Forbidden for a change that another site's page may have sent."""
    if request.method in _SAFE:
        return
    if principal is None:
        # Signing in has no session yet; browsers say where the form came from.
        if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            raise Forbidden("this form was sent by another site", code="cross_site")
        return
    if principal.session is None:
        return
    given = request.headers.get(HEADER)
    if given is None and request.headers.get("content-type", "").startswith(_FORMS):
        value = (await request.form()).get(FIELD)
        given = value if isinstance(value, str) else None
    if given is None or not signer.matches("csrf", principal.session, given):
        raise Forbidden(f"the form token is missing or old: reload the page (header {HEADER})", code="csrf")
