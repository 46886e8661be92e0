"""The UPS of the room say by themselves that mains failed."""

from collectors.traps.access import TrapAccess, TrapUser
from collectors.traps.receiver import TrapReceiver
from simulator.app import RoomServer
from simulator.inventory import COMMUNITY, V3_AUTH_KEY, V3_PRIV_KEY, V3_USER
from simulator.room import Conditions, Room
from simulator.ups_traps import UpsVoice
from tests.support.peers import until_async

UPS = "1.3.6.1.2.1.33"


def _dotted(oids: list[tuple[int, ...]]) -> list[str]:
    return [".".join(map(str, oid)) for oid in oids]


def test_each_card_says_what_its_kind_says() -> None:
    room = Room(seed=5)
    apc, standard = UpsVoice(room, "ups-1"), UpsVoice(room, "ups-2")

    def heard(voice: UpsVoice) -> list[str]:
        return _dotted([spoken.oid for spoken in voice.listen()])

    assert (heard(apc), heard(standard)) == ([], [])
    room.conditions = Conditions(mains=False)
    room.advance(0.05)
    assert (heard(apc), heard(standard)) == (["1.3.6.1.4.1.318.0.5"], [f"{UPS}.2.1", f"{UPS}.2.3"])
    assert (heard(apc), heard(standard)) == ([], [])
    room.advance(61.0)
    assert (heard(apc), heard(standard)) == ([], [f"{UPS}.2.1"]), "RFC 1628: again each minute"
    room.conditions = Conditions()
    room.advance(0.05)
    assert (heard(apc), heard(standard)) == (["1.3.6.1.4.1.318.0.9"], [f"{UPS}.2.4", f"{UPS}.2.4"])


async def test_mains_failure_and_its_end_are_heard_in_both_versions() -> None:
    heard: list[tuple[str, str, int]] = []
    receiver = TrapReceiver(
        TrapAccess((COMMUNITY,), (TrapUser(V3_USER, "sha256", V3_AUTH_KEY, "aes128", V3_PRIV_KEY),)),
        engine_id=b"\x80\x00\x4f\xb8\x05listener",
        boots=1,
        admit=lambda _: True,
        take=lambda notification, _: heard.append((notification.version.value, notification.oid, notification.port)),
        lost=lambda result, *_: heard.append((str(result), "", 0)),
    )
    await receiver.open("127.0.0.1", 0)
    async with RoomServer(seed=5, trap_sink=("127.0.0.1", receiver.port)) as room:
        ports = {device.id: device.port for device in room.devices}
        await room.strike("device-dead", "ups-2")
        await room.strike("mains-failure")
        await until_async(lambda: len(heard) == 1)
        await room.clear()
        await until_async(lambda: len(heard) == 4)
    await receiver.close()
    assert heard == [
        ("v2c", "1.3.6.1.4.1.318.0.5", ports["ups-1"]),  # the dead one says nothing
        ("v2c", "1.3.6.1.4.1.318.0.9", ports["ups-1"]),
        ("v3", f"{UPS}.2.4", ports["ups-2"]),
        ("v3", f"{UPS}.2.4", ports["ups-2"]),
    ]
