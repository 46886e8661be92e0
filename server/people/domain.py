"""How the people domain presents itself to the composition root."""

from server.kit.context import Authenticator, Domain, Kit
from server.people.auth import RequestAuthenticator
from server.people.endpoints import router, sign_in_router
from server.people.jobs import JOBS
from server.people.passwords import Passwords
from server.people.signin import SignInService


def build(kit: Kit) -> Domain:
    passwords = Passwords()
    return Domain(
        name="people",
        api=[sign_in_router, router],
        jobs=JOBS,
        services={
            Authenticator: RequestAuthenticator(kit),
            Passwords: passwords,
            SignInService: SignInService(kit, passwords),
        },
    )
