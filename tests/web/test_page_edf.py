"""EDF, EDF+ and BDF files on the page without a server: read as `ekg annotate` reads them."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from web_driver import ROOT, Known, dropped, in_node

from runtime import Detector, EkgError
from runtime.cli.main import main
from runtime.findings import Record
from runtime.records import read
from runtime.records.leads import Lead, choose, is_ecg
from runtime.signal.resample import thinned
from runtime.simulate import simulate

edfio = pytest.importorskip("edfio")

READ = """
import { readFiles } from %s;
import { readFileSync } from "node:fs";
const found = [];
for (const path of given) {
  try {
    const { lead, fs, start, ecg } = await readFiles([new File([readFileSync(path)], path)]);
    found.push({ lead, fs, start, ecg: [...ecg] });
  } catch (error) {
    found.push({ refused: error.message });
  }
}
console.log(JSON.stringify(found));
"""
CHOOSE = """
import { chooseLead, isEcg } from %s;
const load = () => new Float64Array(9);
const chosen = given.files.map((leads) => {
  try {
    const named = leads.map(([name, unit]) => ({ name, unit, fs: 360, load }));
    return named.indexOf(chooseLead(named));
  } catch (error) {
    return error.message;
  }
});
console.log(JSON.stringify([given.names.map(isEcg), chosen]));
"""
# Names as files have them, of ECG and other signals, and such that say nothing.
NAMES = (
    "ECG II|MLII|V5|aVR|ECG|EKG1|Lead II|D1|D2|L3|V|AI|ES|LL-RA|chest strap|ch1|signal|0|value|C3|"
    "EEG Fpz-Cz|Resp chest|SpO2|THOR RES|ECG HR|heart ECG|Pulse rate|呼吸1|心电图|心率|"
    "ЭКГ 1|дыхание|ÉCG|électrocardiogramme|Atmung|Herzfrequenz|acelerómetro x|Ableitung 2|"
    "dérivation II|digital|ele_tro|Temp|temp3|Temporal|_|II "
).split("|")
UNITS = ["mV", "uV", "V", "", "mmHg", "%"]


@pytest.fixture
def by_page(dist: Path) -> Callable[..., list[dict[str, Any]]]:
    """What the page's reader makes of files, in Node.js: a recording, or why it refuses one."""
    script = READ % json.dumps((dist / "files.js").as_uri())
    return lambda *paths: in_node(script, [str(path) for path in paths])


def edf_signal(ecg: np.ndarray, fs: float, label: str, unit: str = "mV", **more: Any) -> Any:
    return edfio.EdfSignal(ecg, fs, label=label, physical_dimension=unit, **more)


def write(path: Path, *signals: Any, **more: Any) -> Path:
    edfio.Edf(list(signals), **more).write(path)
    return path


def beating(seed: int = 3, fs: float = 360, seconds: float = 30) -> np.ndarray:
    return simulate(seconds, fs=fs, seed=seed, ectopic=0.2).signal.astype(np.float64)


def is_as_read(found: dict[str, Any], record: Record) -> None:
    assert found.get("lead") == record.lead, found
    ecg = np.array([np.nan if value is None else value for value in found["ecg"]])
    expected, fs = thinned(record.signal, record.fs)
    assert found["fs"] == fs
    np.testing.assert_allclose(ecg, expected, rtol=1e-12, atol=1e-12 if fs < record.fs else 0)


def test_beats_are_those_of_annotate(used_page: Any, known: Known, tmp_path: Path) -> None:
    """The ECG between an EEG and a breath, each of its own rate and unit; when it began."""
    rng = np.random.default_rng(1)
    path = write(
        tmp_path / "night.edf",
        edf_signal(rng.normal(size=3000), 100, "EEG C3-A2", "uV"),
        edf_signal(1000 * beating(), 360, "ECG II", "uV"),
        edf_signal(np.sin(np.arange(750.0) / 20), 25, "Resp", ""),
        recording=edfio.Recording(startdate=date(2020, 2, 3)),
        starttime=time(22, 11, 12),
    )
    assert dropped(used_page, path) == known(str(path))[1]
    assert "ECG II, 360 Hz, from 2020-02-03 22:11:12: 30 s" in used_page.text_content("#status")


@pytest.mark.parametrize("kind", ["edf", "bdf"])
def test_another_rate(used_page: Any, known: Known, tmp_path: Path, kind: str) -> None:
    path, ecg = tmp_path / f"x.{kind}", beating(fs=256)
    if kind == "bdf":
        edfio.Bdf([edfio.BdfSignal(ecg, 256, label="ECG", physical_dimension="mV")]).write(path)
    else:
        write(path, edf_signal(ecg, 256, "ECG"))
    beats, expected = dropped(used_page, path), known(str(path))[1]
    assert [label for _, label in beats] == [label for _, label in expected]
    assert max(abs(a - b) for (a, _), (b, _) in zip(beats, expected, strict=True)) <= 1


def pausing(path: Path, pauses: dict[int, int]) -> Path:
    """An EDF+D file with records of 1 s, and so many seconds of pause before some of them."""
    write(path, edf_signal(beating(), 360, "ECG"), annotations=[edfio.EdfAnnotation(0.5, 1, "a")])
    content = bytearray(path.read_bytes())
    content[192:197] = b"EDF+D"
    at, late = 0, 0
    for record in range(30):
        at = content.index(f"+{record}\x14\x14".encode(), at)
        late += pauses.get(record, 0)
        mark = f"+{record + late}\x14\x14".encode()
        content[at : at + len(mark)] = mark
        content[at + len(mark) : at + 16] = bytes(16 - len(mark))
        at += 16
    path.write_bytes(content)
    return path


def test_a_pause_is_missing_signal(used_page: Any, detector: Detector, tmp_path: Path) -> None:
    path = pausing(tmp_path / "pause.edf", {12: 3})
    record = read(path)
    assert record.gaps > 0.05
    stream = detector.stream(360, events=True)
    beats = stream.push(record.signal) + stream.finish()
    assert dropped(used_page, path) == [(round(beat.time * 360), beat.label) for beat in beats]


def test_files_are_read_as_by_the_runtime(by_page: Callable[..., Any], tmp_path: Path) -> None:
    ecg, rng = beating(), np.random.default_rng(0)
    wide = {"digital_range": (-32000, 31999), "physical_range": (-5, 7)}
    paths = [
        write(tmp_path / "v.edf", edf_signal(ecg / 1000, 360, "ECG", "V")),
        write(
            tmp_path / "mv.rec", edf_signal(ecg, 360, "MLII", **wide), edf_signal(ecg, 360, "V1")
        ),
        write(tmp_path / "plain", edf_signal(ecg, 360, "ECG", "")),
        write(tmp_path / "fast.edf", edf_signal(1000 * beating(fs=2000), 2000, "ECG", "uv")),
        write(tmp_path / "offset.edf", edf_signal(ecg + 1650, 360, "ECG")),
        write(
            tmp_path / "flat.edf",
            edf_signal(0 * ecg, 360, "II", physical_range=(-1, 1)),
            edf_signal(ecg, 360, "V1"),
        ),
        write(
            tmp_path / "sharp.edf",
            edf_signal(rng.normal(size=len(ecg)), 360, "ch1"),
            edf_signal(ecg, 360, "ch2"),
        ),
        write(
            tmp_path / "mmhg.edf",
            edf_signal(80 + ecg, 360, "ABP", "mmHg"),
            edf_signal(ecg, 360, "ECG"),
        ),
        pausing(tmp_path / "pauses.edf", {3: 1, 20: 40}),
    ]
    for path, found in zip(paths, by_page(*paths), strict=True):
        is_as_read(found, read(path))


def test_missing_samples_that_convert_has_marked(
    by_page: Callable[..., Any], tmp_path: Path
) -> None:
    ecg = beating(seconds=30.3)
    ecg[1000:1500] = np.nan
    ecg[4000:4100] = np.nan
    np.savez(tmp_path / "x.npz", signal=ecg, fs=360.0, units="mV")
    assert main(["convert", str(tmp_path / "x.npz"), str(tmp_path / "x.edf")]) == 0
    record = read(tmp_path / "x.edf")
    assert np.isnan(record.signal).sum() == 600
    is_as_read(by_page(tmp_path / "x.edf")[0], record)


def overwritten(path: Path, at: int, content: bytes) -> Path:
    held = bytearray(path.read_bytes())
    held[at : at + len(content)] = content
    path.write_bytes(held)
    return path


def test_what_cannot_be_read_is_one_sentence(by_page: Callable[..., Any], tmp_path: Path) -> None:
    ecg, refused = beating(seconds=10), {}

    def make(name: str, sentence: str) -> Path:
        refused[tmp_path / name] = sentence
        return write(tmp_path / name, edf_signal(ecg, 360, "ECG"))

    cut = make("cut.edf", "promises 10 data records, and it holds 9.")
    cut.write_bytes(cut.read_bytes()[:-100])
    make("text.edf", "is not a whole EDF file").write_text("0.1\n0.2\n")
    make("short.edf", "header of at least 256 bytes").write_bytes(b"0       ")
    overwritten(make("none.edf", "number of signals in its header is 0"), 252, b"0   ")
    overwritten(make("many.edf", "takes 1024256 bytes"), 252, b"4000")
    overwritten(make("word.edf", "number of data records in its header is NaN"), 236, b"ten     ")
    overwritten(make("still.edf", "data records last 0 s"), 244, b"0       ")
    overwritten(make("no.edf", "samples a record of signal 1"), 256 + 216, b"-1      ")
    overwritten(make("times.edf", "without the times of its data records"), 192, b"EDF+D")
    overwritten(make("gain.edf", "has no calibration"), 256 + 104, b"1       1       ")
    refused[pausing(tmp_path / "order.edf", {5: -3})] = "before the one in front of it has ended"
    refused[pausing(tmp_path / "days.edf", {9: 200_000})] = "expected one recording"
    eeg = write(tmp_path / "eeg.edf", edf_signal(ecg, 360, "EEG Cz"), edf_signal(ecg, 360, "Resp"))
    refused[eeg] = "has no ECG: its leads are EEG Cz, Resp."
    refused[write(tmp_path / "bp.edf", edf_signal(ecg, 360, "ECG", "mmHg"))] = (
        "expected mV, uV or V"
    )
    refused[write(tmp_path / "big.edf", edf_signal(900 * ecg, 360, "ECG", "mV"))] = "as no ECG does"
    refused[write(tmp_path / "adu.edf", edf_signal(900 * ecg, 360, "ECG", ""))] = "no ECG in mV"
    for path, found in zip(refused, by_page(*refused), strict=True):
        assert refused[path] in found["refused"], path.name
        assert found["refused"].endswith(".")
        assert "\n" not in found["refused"]
        with pytest.raises(EkgError):
            read(path)


def test_damaged_files_are_refused_or_read_as_by_the_runtime(
    by_page: Callable[..., Any], tmp_path: Path
) -> None:
    """Any byte of the header, or the file's end."""
    rng, paths = np.random.default_rng(7), []
    whole = write(
        tmp_path / "whole.edf",
        edf_signal(beating(seconds=6), 360, "ECG"),
        edf_signal(beating(fs=100, seconds=6), 100, "V1"),
        annotations=[edfio.EdfAnnotation(1, None, "a")],
    ).read_bytes()
    for number in range(150):
        content = bytearray(whole)
        for _ in range(int(rng.integers(1, 4))):
            at = int(rng.integers(184, 1024) if rng.random() < 0.9 else rng.integers(len(whole)))
            content[at] = int(rng.choice(list(b"0123456789 -.XEDF+\xff\x00")))
        paths.append(tmp_path / f"{number}.edf")
        paths[-1].write_bytes(content if number % 5 else content[: int(rng.integers(len(whole)))])
    read_alike = 0
    for path, found in zip(paths, by_page(*paths), strict=True):
        try:
            record = read(path)
        except EkgError:
            record = None
        if "refused" in found:
            assert found["refused"].endswith("."), found
            assert "undefined" not in found["refused"]
        if record is not None and "refused" not in found:
            read_alike += 1
            is_as_read(found, record)
    assert read_alike > 20


def test_names_and_units_choose_the_lead_as_by_the_runtime(dist: Path) -> None:
    rng = np.random.default_rng(5)
    files = [
        [[str(rng.choice(NAMES)), str(rng.choice(UNITS))] for _ in range(int(rng.integers(1, 6)))]
        for _ in range(1500)
    ]
    script = CHOOSE % json.dumps((ROOT / "runtime" / "server" / "static" / "leads.js").as_uri())
    known, chosen = in_node(script, {"names": NAMES, "files": files})
    assert dict(zip(NAMES, known, strict=True)) == {name: is_ecg(name) for name in NAMES}
    for leads, found in zip(files, chosen, strict=True):
        named = [Lead(name, 360.0, unit, lambda: np.zeros(9)) for name, unit in leads]
        try:
            expected, _ = choose(Path("x"), named, None, any_unit=False)
        except EkgError as error:
            if "has no ECG" in str(error):
                assert "has no ECG" in str(found), leads
            else:  # in no voltage: refused after the choice
                assert leads[found][1] in UNITS[4:], leads
            continue
        assert named[found] is expected, leads


def test_edf_works_without_a_network(page: Any, site: tuple[Any, str], tmp_path: Path) -> None:
    path = write(tmp_path / "x.edf", edf_signal(beating(), 360, "ECG"))
    page.evaluate("async () => { await navigator.serviceWorker.ready; }")
    page.context.set_offline(True)
    again = page.context.new_page()
    again.goto(site[1])
    assert len(dropped(again, path)) > 20
