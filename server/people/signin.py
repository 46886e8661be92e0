"""Signing in and out. Its transactions are its own: a wrong try is recorded although the request is refused, and no
transaction is open while a password is hashed.
"""

import math
from dataclasses import dataclass
from datetime import datetime

from server.db.session import WriteSession
from server.kit.context import Kit
from server.kit.problems import TooManyRequests, Unauthenticated
from server.kit.secrets import digest, new_token
from server.people import repository
from server.people.models import LoginFailures, LoginSession, User
from server.people.passwords import Passwords
from server.people.throttle import FREE_TRIES, FREE_TRIES_PER_ADDRESS, Failures, after_failure, wait_left


@dataclass(frozen=True, slots=True)
class SignedIn:
    """`token` goes into the cookie and is stored nowhere."""

    user: User
    token: str
    session: str
    expires_at: datetime


def _state(row: LoginFailures | None) -> Failures | None:
    return None if row is None else Failures(row.count, row.last_at, row.blocked_until)


class SignInService:
    """Checks passwords, slows down guessing, opens and ends sessions."""

    def __init__(self, kit: Kit, passwords: Passwords) -> None:
        self._kit = kit
        self._passwords = passwords

    async def sign_in(self, *, login: str, password: str, address: str, user_agent: str, old: str | None) -> SignedIn:
        """A new session with a new token, whatever cookie came along (`old`, which is ended).

        Raises TooManyRequests while the name or the address must wait, Unauthenticated for a wrong name or password.
        """
        now = self._kit.clock.now()
        login = login.strip().lower()
        keys = ((f"login:{login}", FREE_TRIES), (f"address:{address}", FREE_TRIES_PER_ADDRESS))
        async with self._kit.db.read() as session:
            waits = [wait_left(_state(await repository.get_failures(session, key)), now) for key, _ in keys]
            user = await repository.user_by_login(session, login)
        if (wait := max(waits)).total_seconds() > 0:
            self._kit.metrics.logins.labels("throttled").inc()
            raise TooManyRequests("too many wrong sign-ins: wait a little", retry_after=math.ceil(wait.total_seconds()))
        right = await self._passwords.check(user.password_hash if user else None, password)
        if user is None or not right or not user.active:
            async with self._kit.db.write() as writing:
                for key, free in keys:
                    await self._count_failure(writing, key, free, now)
            self._kit.metrics.logins.labels("refused").inc()
            raise Unauthenticated("the name or the password is wrong", code="bad_login")
        token = new_token()
        expires_at = now + self._kit.config.session_lifetime
        async with self._kit.db.write() as writing:
            await repository.forget_failures(writing, keys[0][0])
            if old is not None:
                await repository.end_session(writing, digest(old))
            writing.add(
                LoginSession(
                    id=digest(token),
                    user_id=user.id,
                    created_at=now,
                    expires_at=expires_at,
                    address=address[:64],
                    user_agent=user_agent[:200],
                )
            )
        self._kit.metrics.logins.labels("accepted").inc()
        return SignedIn(user, token, digest(token), expires_at)

    async def _count_failure(self, session: WriteSession, key: str, free: int, now: datetime) -> None:
        row = await repository.get_failures(session, key)
        after = after_failure(_state(row), now, free=free)
        if row is None:
            row = LoginFailures(key=key[:200], count=0, last_at=now)
            session.add(row)
        row.count, row.last_at, row.blocked_until = after.count, after.last_at, after.blocked_until

    async def sign_out(self, session_digest: str) -> None:
        async with self._kit.db.write() as session:
            await repository.end_session(session, session_digest)
