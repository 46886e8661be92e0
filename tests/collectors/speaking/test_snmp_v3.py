"""SNMPv3: every pair of protocols against two independent agents, engines that are twins, boots that fall back."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from collectors.device import SnmpTarget
from tests.collectors.speaking.profiles import CHARGE, poller, profile, values
from tests.collectors.speaking.v3_agent import v3_agent
from tests.support.snmpd import Override, Snmpd

AUTH = {
    "md5": "MD5",
    "sha1": "SHA",
    "sha224": "SHA-224",
    "sha256": "SHA-256",
    "sha384": "SHA-384",
    "sha512": "SHA-512",
}
# "-C" is net-snmp's word for the key expansion of the Reeder draft, which Cisco took up.
PRIV = {
    ("des", "blumenthal"): "DES",
    ("aes128", "blumenthal"): "AES-128",
    ("aes192", "blumenthal"): "AES-192",
    ("aes256", "blumenthal"): "AES-256",
    ("aes192", "reeder"): "AES-192-C",
    ("aes256", "reeder"): "AES-256-C",
}
PAIRS = [(auth, priv, expansion) for auth in AUTH for priv, expansion in PRIV] + [
    (auth, None, "blumenthal") for auth in AUTH
]
CHARGED = profile("snmp", [{"metric": "ups.battery.charge", "from": [{"oid": CHARGE, "unit": "%"}]}])


def name_of(auth: str, priv: str | None, expansion: str) -> str:
    return f"{auth}-{priv or 'only'}-{expansion}"


def open_word(auth: str) -> str:
    return f"open-{auth}"


def shut_word(priv: str | None) -> str:
    return f"shut-{priv}-x"


class ManyUsers(Snmpd):
    """An agent that knows a user for each pair of protocols."""

    def _write(self, overrides: Iterable[Override]) -> None:
        super()._write(overrides)
        with self._config.open("a", encoding="utf-8") as config:
            for auth, priv, expansion in PAIRS:
                secrets = f'{AUTH[auth]} "{open_word(auth)}"'
                if priv is not None:
                    secrets += f' {PRIV[priv, expansion]} "{shut_word(priv)}"'
                name = name_of(auth, priv, expansion)
                config.write(f"createUser {name} {secrets}\nrouser {name} {'auth' if priv is None else 'authpriv'}\n")


@pytest.fixture(scope="module", params=[pytest.param("net-snmp", marks=pytest.mark.peer("snmpd")), "pysnmp"])
def port(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    if request.param == "net-snmp":
        with ManyUsers(tmp_path_factory.mktemp("users"), overrides=[(CHARGE, "integer", 88)]) as running:
            yield running.port
        return
    users = [
        (name_of(auth, priv, expansion), auth, open_word(auth), expansion, priv, shut_word(priv))
        for auth, priv, expansion in PAIRS
    ]
    with v3_agent(users, {CHARGE: 88}) as bound:
        yield bound


def target_of(port: int, auth: str, priv: str | None, expansion: str) -> SnmpTarget:
    return SnmpTarget(
        "127.0.0.1",
        port=port,
        version="v3",
        user=name_of(auth, priv, expansion),
        auth=auth,
        auth_key=open_word(auth),
        priv=priv,
        priv_key=None if priv is None else shut_word(priv),
        key_expansion=expansion,
        timeout_s=0.5,
    )


@pytest.mark.parametrize(("auth", "priv", "expansion"), PAIRS)
async def test_auth_priv_and_key_expansion(port: int, auth: str, priv: str | None, expansion: str) -> None:
    outcome = await poller(target_of(port, auth, priv, expansion), CHARGED).poll()
    assert values(outcome) == {"device.communication": "ok", "ups.battery.charge": 88.0}, outcome.detail


@pytest.mark.parametrize(
    ("auth", "priv"),
    [("md5", "aes192"), ("md5", "aes256"), ("sha1", "aes192"), ("sha1", "aes256"), ("sha224", "aes256")],
)
async def test_the_expansions_differ_where_the_auth_key_is_shorter(port: int, auth: str, priv: str) -> None:
    """Else a test of both would prove one twice."""
    right = target_of(port, auth, priv, "reeder")
    wrong = SnmpTarget(
        "127.0.0.1",
        port=port,
        version="v3",
        user=right.user,
        auth=auth,
        auth_key=right.auth_key,
        priv=priv,
        priv_key=right.priv_key,
        key_expansion="blumenthal",
        timeout_s=0.1,
    )
    assert (await poller(wrong, CHARGED).poll()).problem is not None


class Twin(Snmpd):
    """An agent with an engine id of our choice that begins with so many boots."""

    def __init__(self, folder: Path, *, boots: int, charge: int) -> None:
        self._engine_boots = boots
        super().__init__(folder, overrides=[(CHARGE, "integer", charge)])
        self.set_boots(boots)

    def _write(self, overrides: Iterable[Override]) -> None:
        super()._write(overrides)
        with self._config.open("a", encoding="utf-8") as config:
            config.write("engineID twins\n")

    def set_boots(self, boots: int) -> None:
        """What a card forgets when its flash is worn or its firmware new; the agent must be down."""
        state = self._config.parent / "state"
        state.mkdir(exist_ok=True)
        (state / "snmpd.conf").write_text(f"engineBoots {boots}\n")


def of_twin(agent: Snmpd) -> SnmpTarget:
    user = agent.v3
    return SnmpTarget(
        agent.host,
        port=agent.port,
        version="v3",
        user=user.name,
        auth="sha256",
        auth_key=user.auth_password,
        priv="aes128",
        priv_key=user.priv_password,
        timeout_s=0.25,
    )


@pytest.mark.peer("snmpd")
async def test_two_devices_with_one_engine_id_do_not_disturb_each_other(tmp_path: Path) -> None:
    with Twin(tmp_path / "a", boots=7, charge=11) as first, Twin(tmp_path / "b", boots=900, charge=22) as second:
        a, b = poller(of_twin(first), CHARGED, name="a"), poller(of_twin(second), CHARGED, name="b")
        for _ in range(5):
            assert values(await a.poll()) == {"device.communication": "ok", "ups.battery.charge": 11.0}
            assert values(await b.poll()) == {"device.communication": "ok", "ups.battery.charge": 22.0}


@pytest.mark.peer("snmpd")
@pytest.mark.parametrize("after", [0, 41, 5000])
async def test_boots_that_fall_back_stay_or_leap_cost_at_most_one_cycle(tmp_path: Path, after: int) -> None:
    with Twin(tmp_path / "a", boots=40, charge=11) as agent:  # 41 from its start on
        device = poller(of_twin(agent), CHARGED)
        assert (await device.poll()).problem is None
        agent.kill()
        agent.set_boots(after)
        agent.start()
        lost = [(await device.poll()).problem for _ in range(4)]
        assert sum(problem is not None for problem in lost) <= 1
        assert lost[-1] is None
