"""A strap behind bleak's interface: found, connected to, sending packets by its own clock."""

from __future__ import annotations

import asyncio
import base64
import json
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from runtime.cli import polar

PACKET = 73  # samples, as an H10 sends them
IN_BROWSER = Path(__file__).parent / "runtime" / "server" / "page" / "simulated_devices.js"


def base64_of(pieces: list[bytes]) -> list[str]:
    """Return bytes as JSON can hold them."""
    return [base64.b64encode(piece).decode() for piece in pieces]


def browser_script(**device: Any) -> str:
    """Return a script that stands for a browser's Bluetooth and serial ports; see there."""
    body = IN_BROWSER.read_text(encoding="utf-8")
    return f"window.device = {json.dumps(device)};\n(() => {{ {body} }})();"


def packets_of(ecg: np.ndarray) -> list[bytes]:
    """Return the packets of an H10 that sends this ECG, mV at `polar.FS`."""
    strap = SimulatedStrap(ecg)
    return [strap.packet(number) for number in range(len(ecg) // PACKET)]


@dataclass
class SimulatedStrap:
    """A Polar H10, or a strap that gives its heart rate only.

    Attributes
    ----------
    ecg : mV, at `polar.FS` of its own clock
    drift_ppm : how much too fast that runs
    delays : s, by which each packet comes late
    lost : numbers of packets that never come
    leaves_after : numbers of packets behind which the connection breaks off
    heart_rates : messages of its heart-rate service, if it gives no ECG
    refuses : error code with which the strap answers
    now : our time, s, at which the packet comes that is being sent
    """

    ecg: np.ndarray | None = None
    name: str = "Polar H10 12345678"
    address: str = "A0:9E:1A:00:00:01"
    drift_ppm: float = 0.0
    delays: np.ndarray | None = None
    lost: frozenset[int] = frozenset()
    leaves_after: frozenset[int] = frozenset()
    heart_rates: tuple[bytes, ...] = ()
    refuses: int = 0
    now: float = 1000.0
    sent: int = 0
    written: list[bytes] = field(default_factory=list)
    away: bool = False

    @property
    def services(self) -> list[Any]:
        uuids = [polar.HEART_RATE_SERVICE] + ([polar.PMD_SERVICE] if self.ecg is not None else [])
        return [SimpleNamespace(uuid=uuid.upper()) for uuid in uuids]

    def module(self) -> Any:
        """Return what stands for the module bleak."""
        strap = self

        class BleakScanner:
            @staticmethod
            async def find_device_by_filter(
                filterfunc: Callable[[Any, Any], bool], timeout: float = 10.0
            ) -> Any:
                device = SimpleNamespace(name=strap.name, address=strap.address)
                advertised = SimpleNamespace(
                    service_uuids=[polar.HEART_RATE_SERVICE], local_name=strap.name
                )
                found = not strap.away and filterfunc(device, advertised)
                strap.now += 0.0 if found else timeout
                return device if found else None

        class BleakClient:
            def __init__(self, device: Any, disconnected_callback: Callable[[Any], None]) -> None:
                self.services = strap.services
                self.is_connected = False
                self._gone = disconnected_callback
                self._notify: dict[str, Callable[[Any, bytearray], None]] = {}
                self._tasks: list[asyncio.Task[None]] = []

            async def __aenter__(self) -> BleakClient:
                self.is_connected = True
                return self

            async def __aexit__(self, *_: object) -> None:
                self.is_connected = False
                for task in self._tasks:
                    task.cancel()

            async def start_notify(
                self, uuid: str, callback: Callable[[Any, bytearray], None]
            ) -> None:
                self._notify[uuid] = callback
                if uuid == polar.HEART_RATE:
                    self._tasks.append(asyncio.create_task(self._send_heart_rates()))

            async def write_gatt_char(self, uuid: str, data: bytes, response: bool) -> None:
                assert uuid == polar.PMD_CONTROL
                strap.written.append(bytes(data))
                if data[0] == 2:
                    answer = bytes((0xF0, 0x02, 0x00, strap.refuses, 0x00))
                    self._notify[polar.PMD_CONTROL](None, bytearray(answer))
                    if not strap.refuses:
                        self._tasks.append(asyncio.create_task(self._send_ecg()))

            async def _send_heart_rates(self) -> None:
                for message in strap.heart_rates:
                    await asyncio.sleep(0)
                    self._notify[polar.HEART_RATE](None, bytearray(message))
                self._leave()

            async def _send_ecg(self) -> None:
                assert strap.ecg is not None
                while (strap.sent + 1) * PACKET <= len(strap.ecg):
                    number, strap.sent = strap.sent, strap.sent + 1
                    await asyncio.sleep(0)
                    if number in strap.lost:
                        continue
                    self._notify[polar.PMD_DATA](None, bytearray(strap.packet(number)))
                    if number in strap.leaves_after:
                        break
                self._leave()

            def _leave(self) -> None:
                self.is_connected = False
                strap.away = strap.ecg is None or (strap.sent + 1) * PACKET > len(strap.ecg)
                self._gone(self)

        return SimpleNamespace(BleakScanner=BleakScanner, BleakClient=BleakClient)

    def packet(self, number: int) -> bytes:
        """Return a frame, and let our time go on to when it comes."""
        assert self.ecg is not None
        end = (number + 1) * PACKET
        device_s = 599_616_000 + (end - 1) / polar.FS  # since 2000, as an H10 counts
        true_s = (end - 1) / polar.FS / (1 + self.drift_ppm / 1e6)
        self.now = 1000.0 + true_s + (0.0 if self.delays is None else self.delays[number])
        microvolts = np.rint(self.ecg[number * PACKET : end] * 1000).astype(int)
        samples = b"".join(int(v).to_bytes(3, "little", signed=True) for v in microvolts)
        return b"\0" + struct.pack("<Q", round(device_s * 1e9)) + b"\0" + samples
