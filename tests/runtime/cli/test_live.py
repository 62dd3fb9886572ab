"""Devices without a browser, simulated behind the libraries' interfaces."""

from __future__ import annotations

import inspect
import os
import sys
import threading
import time

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from simulated_strap import PACKET, SimulatedStrap

from runtime import Detector, InputError
from runtime.cli import ble, clock, polar
from runtime.cli.clock import DeviceClock
from runtime.cli.main import main
from runtime.cli.serial_port import open_serial
from runtime.simulate import simulate


@pytest.fixture
def ecg() -> np.ndarray:
    """Ninety seconds at 130 Hz, whole uV, whole packets."""
    signal = simulate(90, fs=130, seed=3, ectopic=0.2).signal.astype(np.float64)
    return np.rint(signal[: len(signal) // PACKET * PACKET] * 1000) / 1000


def connect(monkeypatch: pytest.MonkeyPatch, strap: SimulatedStrap) -> None:
    """Let the strap stand for bleak, and our clock be the simulation's."""
    monkeypatch.setitem(sys.modules, "bleak", strap.module())
    monkeypatch.setattr(ble, "monotonic", lambda: strap.now)
    monkeypatch.setattr(ble, "RETRY_S", 0.0)


def beats_of(printed: str) -> list[tuple[float, str]]:
    rows = [line.split() for line in printed.splitlines()]
    return [(float(row[0]), row[2]) for row in rows]


def test_beats_of_a_polar_strap_are_those_of_its_ecg(
    ecg: np.ndarray,
    detector: Detector,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    strap = SimulatedStrap(ecg)
    connect(monkeypatch, strap)
    assert main(["--provider", "cpu", "stream", "--ble", "--patience", "0"]) == 0
    live = detector.stream(130, events=True)
    expected = [*live.push(ecg), *live.finish()]
    told = capsys.readouterr()
    assert beats_of(told.out) == [(round(beat.time, 3), beat.label) for beat in expected]
    assert len(expected) > 90
    assert strap.written[0] == polar.START_ECG


@pytest.mark.parametrize("drift_ppm", [-150.0, 40.0])
def test_drift_of_its_clock_is_measured_and_told(
    ecg: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    drift_ppm: float,
) -> None:
    long = np.tile(ecg, 8)
    delays = np.random.default_rng(1).gamma(1.0, 0.03, len(long) // PACKET)
    strap = SimulatedStrap(long, drift_ppm=drift_ppm, delays=delays)
    connect(monkeypatch, strap)
    main(["--provider", "cpu", "stream", "--ble", "h10", "--patience", "0"])
    told = capsys.readouterr().err
    words = told.partition("clock runs ")[2].split()
    found = float(words[0]) * (1 if words[3] == "fast," else -1)
    error = float(words[2].strip("(+-)"))
    assert found == pytest.approx(drift_ppm, abs=max(3 * error, 15))
    assert error < 20
    assert "Polar H10 12345678: the device's clock runs" in told


def test_packet_that_is_lost_is_missing_and_nothing_moves(
    ecg: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    strap = SimulatedStrap(ecg, lost=frozenset({20, 21}), leaves_after=frozenset({40}))
    connect(monkeypatch, strap)
    strap.lost |= {41, 42, 43}  # while it is away
    found = ble.Strap("H10", patience_s=5)
    got = np.concatenate(list(found.ecg()))
    missing = np.zeros(len(ecg), bool)
    for number in (20, 21, 41, 42, 43):
        missing[number * PACKET : (number + 1) * PACKET] = True
    np.testing.assert_array_equal(np.isnan(got), missing)
    np.testing.assert_allclose(got[~missing], ecg[~missing], atol=1e-12)


def test_strap_without_ecg_gives_its_heart_rate(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    messages = (
        bytes((0x10, 62, 0xDF, 0x03)),  # one interval of 991/1024 s
        bytes((0x19, 0x2C, 0x01, 0x34, 0x12, 0x00, 0x04, 0x00, 0x02)),  # 300 bpm, energy, two
        bytes((0x00, 61)),
    )
    strap = SimulatedStrap(name="TICKR", heart_rates=messages)
    connect(monkeypatch, strap)
    assert main(["stream", "--ble", "tickr", "--patience", "0"]) == 0
    told = capsys.readouterr()
    assert told.out.splitlines() == ["62 bpm  968 ms", "300 bpm  1000 ms  500 ms", "61 bpm"]
    assert "TICKR gives no ECG" in told.err


@pytest.mark.parametrize(
    ("arguments", "strap", "reason"),
    [
        (["--ble", "H9"], SimulatedStrap(np.zeros(730)), "no strap 'H9' was found in 20 s"),
        (
            ["--ble"],
            SimulatedStrap(np.zeros(730), refuses=3),
            "refuses to give its ECG (f0 02 00 03",
        ),
        (["--ble", "--fs", "250"], SimulatedStrap(), "a strap says its rate and unit"),
        (["--ble", "--serial", "x"], SimulatedStrap(), "--ble is a source of its own"),
        (["--serial", "x"], SimulatedStrap(), "x does not say its rate; give --fs"),
        (["--serial", "/dev/none", "--fs", "250"], SimulatedStrap(), "/dev/none cannot be opened"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(
    arguments: list[str],
    strap: SimulatedStrap,
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    connect(monkeypatch, strap)
    if "/dev/none" in arguments:
        pytest.importorskip("serial", reason="no pyserial (pip install pyserial)")
    assert main(["stream", *arguments]) == 2
    assert reason in capsys.readouterr().err


@pytest.mark.needs("bleak")
def test_bleak_has_the_interface_that_is_used() -> None:
    import bleak

    def takes(function: object, *names: str) -> bool:
        return set(names) <= set(inspect.signature(function).parameters)  # type: ignore[arg-type]

    assert takes(bleak.BleakScanner.find_device_by_filter, "filterfunc", "timeout")
    assert takes(bleak.BleakClient.__init__, "disconnected_callback")
    assert takes(bleak.BleakClient.write_gatt_char, "data", "response")
    assert takes(bleak.BleakClient.start_notify, "callback")
    assert {"services", "is_connected"} <= set(dir(bleak.BleakClient))


@hypothesis.given(st.lists(st.integers(-(2**23), 2**23 - 1), max_size=80), st.integers(0, 2**60))
def test_frames_of_ecg_are_read_whatever_they_hold(values: list[int], time_ns: int) -> None:
    body = b"".join(value.to_bytes(3, "little", signed=True) for value in values)
    frame = b"\0" + time_ns.to_bytes(8, "little") + b"\0" + body
    device_s, samples = polar.read_ecg(frame)
    assert device_s == pytest.approx(time_ns / 1e9)
    np.testing.assert_array_equal(samples * 1000, values)
    with pytest.raises(InputError, match="expected a frame of ECG"):
        polar.read_ecg(b"\2" + frame[1:])


@hypothesis.given(st.binary(max_size=30))
def test_any_heart_rate_message_is_read_or_refused(message: bytes) -> None:
    if not message:
        with pytest.raises(InputError, match="empty heart-rate measurement"):
            polar.read_heart_rate(message)
        return
    heart = polar.read_heart_rate(message)
    assert 0 <= heart.bpm < 65536


@hypothesis.given(
    drift_ppm=st.floats(-500, 500),
    jitter_s=st.floats(0, 0.2),
    seed=st.integers(0, 99),
    start=st.floats(0, 1e9),
)
def test_clock_is_measured_whatever_the_delays(
    drift_ppm: float, jitter_s: float, seed: int, start: float
) -> None:
    rng = np.random.default_rng(seed)
    measured = DeviceClock()
    for packet in range(2400):  # twenty minutes
        true_s = packet * 0.5
        delay = rng.exponential(jitter_s) if jitter_s else 0.0
        measured.add(start + true_s * (1 + drift_ppm / 1e6), true_s + delay)
    found = measured.drift_ppm()
    assert found is not None
    assert found[0] == pytest.approx(drift_ppm, abs=5 + 250 * jitter_s)


def test_too_short_a_signal_measures_no_clock() -> None:
    measured = DeviceClock()
    for packet in range(20):
        measured.add(packet, packet)
    assert measured.drift_ppm() is None
    assert measured.sentence(130) == (
        "the device's clock was not measured: 19 s came; it takes 30."
    )


def test_rate_that_was_given_wrongly_is_told() -> None:
    measured = DeviceClock()
    for second in range(100):  # 250 samples a second came, 125 are believed to
        measured.add(2.0 * second, second)
    assert "does not sample at 125 Hz; give the rate" in measured.sentence(125)
    assert "250 samples a second" in measured.sentence(125)


@pytest.mark.needs("serial")
@pytest.mark.skipif(not hasattr(os, "openpty"), reason="no pseudo-terminals here")
def test_device_at_a_serial_port_is_followed(
    detector: Detector, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A pseudo-terminal stands for the cable; pyserial sets it up as it does a port."""
    signal = simulate(20, fs=250, seed=2).signal.astype(np.float64)
    lines = [f"{1000 * value:.1f}" for value in signal]
    device, port = os.openpty()
    name = os.ttyname(port)

    def send() -> None:
        time.sleep(0.3)  # a port drops what came before it was opened
        content = "\r\n".join(
            ["\xff\xfe hello", "time,ECG (uV)", *(f"{i},{v}" for i, v in enumerate(lines))]
        )
        data = content.encode("latin-1") + b"\r\n"
        for at in range(0, len(data), 900):
            os.write(device, data[at : at + 900])
        time.sleep(0.3)
        os.close(port)
        os.close(device)

    sender = threading.Thread(target=send)
    sender.start()
    assert main(["--provider", "cpu", "stream", "--serial", name, "--fs", "250"]) == 0
    sender.join()
    told = capsys.readouterr()
    live = detector.stream(250, events=True)
    expected = [*live.push(np.array(lines, float) / 1000), *live.finish()]
    assert beats_of(told.out) == [(round(beat.time, 3), beat.label) for beat in expected]
    assert len(expected) > 15
    assert f"{name} is gone" in told.err
    assert "clock" in told.err


@pytest.mark.needs("serial")
def test_port_that_is_none_is_named() -> None:
    with pytest.raises(InputError, match=r"nosuch://x cannot be opened"):
        open_serial("nosuch://x", 9600)


def test_clock_of_a_serial_device_counts_its_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter(np.arange(0, 1000) * 0.25 / (1 + 300e-6))
    monkeypatch.setattr(clock, "monotonic", lambda: next(moments))
    measured = DeviceClock()
    chunks = [[0.0] * 50] * 1000
    assert list(measured.add_each(iter(chunks), 200.0)) == chunks
    found = measured.drift_ppm()
    assert found is not None
    assert found[0] == pytest.approx(300, abs=1)
