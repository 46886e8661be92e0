"""Every authentication and privacy protocol, each by its name, against net-snmp."""

from collections.abc import Iterable, Iterator

import pytest

from collectors.device import SnmpTarget
from tests.collectors.speaking.profiles import CHARGE, poller, profile, values
from tests.support.snmpd import Override, Snmpd

pytestmark = pytest.mark.peer("snmpd")

AUTH = {
    "md5": "MD5",
    "sha1": "SHA",
    "sha224": "SHA-224",
    "sha256": "SHA-256",
    "sha384": "SHA-384",
    "sha512": "SHA-512",
}
PRIV = {"des": "DES", "aes128": "AES", "aes192": "AES-192", "aes256": "AES-256"}


class ManyUsers(Snmpd):
    """An agent that knows a user for each pair of protocols."""

    def _write(self, overrides: Iterable[Override]) -> None:
        super()._write(overrides)
        with self._config.open("a", encoding="utf-8") as config:
            for auth, auth_word in AUTH.items():
                for priv, priv_word in PRIV.items():
                    config.write(f'createUser {auth}-{priv} {auth_word} "open-{auth}" {priv_word} "shut-{priv}-x"\n')
                    config.write(f"rouser {auth}-{priv} authpriv\n")
                config.write(f'createUser {auth}-only {auth_word} "open-{auth}"\nrouser {auth}-only auth\n')


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ManyUsers]:
    with ManyUsers(tmp_path_factory.mktemp("users"), overrides=[(CHARGE, "integer", 88)]) as running:
        yield running


CHARGED = profile("snmp", [{"metric": "ups.battery.charge", "from": [{"oid": CHARGE, "unit": "%"}]}])


@pytest.mark.parametrize("priv", [*PRIV, None])
@pytest.mark.parametrize("auth", AUTH)
async def test_auth_and_priv(agent: ManyUsers, auth: str, priv: str | None) -> None:
    target = SnmpTarget(
        agent.host,
        port=agent.port,
        version="v3",
        user=f"{auth}-{priv or 'only'}",
        auth=auth,
        auth_key=f"open-{auth}",
        priv=priv,
        priv_key=None if priv is None else f"shut-{priv}-x",
        timeout_s=0.5,
    )
    outcome = await poller(target, CHARGED).poll()
    assert values(outcome) == {"device.communication": "ok", "ups.battery.charge": 88.0}, outcome.detail
