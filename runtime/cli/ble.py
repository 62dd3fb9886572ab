"""Straps over Bluetooth Low Energy: a Polar H10's ECG, and any strap's heart rate.

Needs the package ``bleak``.
"""

from __future__ import annotations

import asyncio
import queue
import sys
import threading
from collections.abc import Iterator
from time import monotonic
from typing import Any

from ..errors import InputError
from ..records.packages import need
from . import polar
from .clock import DeviceClock
from .polar import HeartRate, PacketPlacer

ANY = "any"  # the first strap that is found
SEARCH_S = 20.0
RETRY_S = 1.0


class Strap:
    """A strap that is connected, in a thread of its own.

    Attributes
    ----------
    name : of the device
    has_ecg : it gives ECG; else only its heart rate
    clock : the device's, measured by its packets
    """

    def __init__(self, wanted: str, *, patience_s: float):
        """Find a strap and connect to it.

        Parameters
        ----------
        wanted : address, or a part of the name; `ANY` for the first that is found
        patience_s : for which a strap that is lost is looked for again

        Raises
        ------
        InputError
            There is no such strap, or it cannot be connected to.
        MissingPackageError
            There is no package ``bleak``.
        """
        self._bleak: Any = need("bleak", "to use Bluetooth")
        self._wanted, self._patience_s = wanted, patience_s
        self._said: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended = asyncio.Event()
        self._closing = False
        self.name, self.has_ecg = wanted, False
        self.clock = DeviceClock()
        self._placer = PacketPlacer(polar.FS)
        threading.Thread(target=self._work, daemon=True).start()
        failed = self._said.get()
        if failed is not None:
            raise failed

    def ecg(self) -> Iterator[list[float]]:
        """Give the ECG in mV at `polar.FS`, packet by packet, NaN for what was lost."""
        for _, item in self._items():
            if item:
                yield item

    def heart_rates(self) -> Iterator[HeartRate]:
        """Give the heart rates of a strap without ECG."""
        for _, item in self._items():
            yield item

    def close(self) -> None:
        """Stop the measurement and let the strap go."""
        self._closing = True
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._ended.set)

    def _items(self) -> Iterator[tuple[str, Any]]:
        while (item := self._said.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item

    def _work(self) -> None:
        try:
            asyncio.run(self._follow())
            self._said.put(None)
        except InputError as error:
            self._said.put(error)
        except Exception as error:  # of the system's Bluetooth, in its own words
            reason = (str(error).splitlines() or [""])[0] or type(error).__name__
            self._said.put(InputError(f"Bluetooth does not work ({reason})."))

    async def _follow(self) -> None:
        """Stay connected until `close`, or until the strap is away for too long."""
        self._loop = asyncio.get_running_loop()
        first = True
        until = monotonic()
        while not self._closing:
            try:
                await self._connected(first)
            except Exception as error:
                if first:
                    raise
                if monotonic() > until:
                    print(f"{self.name} is away ({error}).", file=sys.stderr)
                    return
                await asyncio.sleep(min(RETRY_S, self._patience_s))
                continue
            if self._closing or self._patience_s <= 0:
                return
            first = False
            until = monotonic() + self._patience_s
            print(f"{self.name} is away; it is looked for again.", file=sys.stderr)

    async def _connected(self, first: bool) -> None:
        """Connect, and take what comes until the connection ends."""
        device = await self._bleak.BleakScanner.find_device_by_filter(self._is_it, timeout=SEARCH_S)
        if device is None:
            raise InputError(
                f"no strap {self._wanted!r} was found in {SEARCH_S:g} s; expected one that is worn "
                "and not connected to a phone."
            )
        self._ended.clear()
        client = self._bleak.BleakClient(device, disconnected_callback=lambda _: self._ended.set())
        async with client:
            services = {service.uuid.lower() for service in client.services}
            has_ecg = polar.PMD_SERVICE in services
            if not has_ecg and polar.HEART_RATE_SERVICE not in services:
                raise InputError(f"{device.name} has neither ECG nor a heart rate.")
            if first:
                self.name, self.has_ecg = device.name or device.address, has_ecg
                self._said.put(None)  # it is there
            if has_ecg:
                await self._start_ecg(client)
            else:
                await client.start_notify(polar.HEART_RATE, self._on_heart_rate)
            await self._ended.wait()
            if self._closing and has_ecg and client.is_connected:
                await client.write_gatt_char(polar.PMD_CONTROL, polar.STOP_ECG, response=True)

    async def _start_ecg(self, client: Any) -> None:
        answers: asyncio.Queue[bytes] = asyncio.Queue()
        await client.start_notify(
            polar.PMD_CONTROL, lambda _, answer: answers.put_nowait(bytes(answer))
        )
        await client.start_notify(polar.PMD_DATA, self._on_ecg)
        await client.write_gatt_char(polar.PMD_CONTROL, polar.START_ECG, response=True)
        answer = await asyncio.wait_for(answers.get(), SEARCH_S)
        if (
            len(answer) < 4
            or answer[0] != polar.ANSWER
            or answer[3]
            not in (
                polar.STARTED,
                polar.ALREADY,
            )
        ):
            raise InputError(
                f"the strap refuses to give its ECG ({answer.hex(' ')}); expected one that no "
                "other program uses."
            )

    def _on_ecg(self, _: object, frame: bytearray) -> None:
        here_s = monotonic()
        try:
            device_s, samples = polar.read_ecg(bytes(frame))
        except InputError as error:
            self._said.put(error)
            return
        self.clock.add(device_s, here_s)
        self._said.put(("ecg", self._placer.place(device_s, here_s, samples).tolist()))

    def _on_heart_rate(self, _: object, message: bytearray) -> None:
        try:
            self._said.put(("heart rate", polar.read_heart_rate(bytes(message))))
        except InputError as error:
            self._said.put(error)

    def _is_it(self, device: Any, advertised: Any) -> bool:
        if self._wanted == ANY:
            offered = {uuid.lower() for uuid in advertised.service_uuids or ()}
            return bool(offered & {polar.PMD_SERVICE, polar.HEART_RATE_SERVICE})
        wanted = self._wanted.casefold()
        name = (device.name or advertised.local_name or "").casefold()
        return device.address.casefold() == wanted or bool(name and wanted in name)
