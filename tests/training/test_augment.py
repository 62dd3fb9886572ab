"""Examples of training: beats given another rhythm keep their shape, order and labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training import amplifier, augment
from training.model import HOP, Design
from training.recipe import Recipe
from training.recordings import FS, Record
from training.simulated import simulated_noise, simulated_records

N, S, V = 0, 1, 2
DESIGN = Design(width=16, morphology=((1, 8), (2, 8)), rhythm=((8, 4),), decision=((1, 8),))
RHYTHMS = ("premature", "fibrillation", "arrhythmia")


@given(
    seed=st.integers(0, 1000),
    rate=st.floats(35, 200),
    rhythm=st.sampled_from(RHYTHMS),
    ventricular=st.sets(st.integers(0, 39)),
)
def test_a_new_rhythm_keeps_the_beats_order_and_abnormal_labels(
    seed: int, rate: float, rhythm: str, ventricular: set[int]
) -> None:
    beats = np.arange(40) * FS * 60 / rate
    classes = np.full(40, N, dtype=np.int8)
    classes[list(ventricular)] = V
    to, anew = augment.retime(np.random.default_rng(seed), beats, classes, rhythm)
    assert len(to) == len(anew) == 40
    assert to[0] == beats[0]
    # As fast as 200 a minute, or as the heart did beat.
    assert (np.diff(to) >= min(0.3 * FS, FS * 60 / rate) - 1e-6).all()
    assert (anew[classes == V] == V).all()
    if rhythm != "premature":
        assert (anew == classes).all()
    early = anew == S
    if rate < 150:  # with room for it
        assert (np.diff(to)[early[1:]] < 0.95 * np.diff(beats)[early[1:]]).all()


@given(seed=st.integers(0, 1000), missing=st.sets(st.integers(5, 35), max_size=8))
def test_no_beat_after_a_pause_becomes_premature(seed: int, missing: set[int]) -> None:
    kept = np.array([i for i in range(40) if i not in missing])
    beats, classes = kept * FS * 0.8, np.full(len(kept), N, dtype=np.int8)
    to, anew = augment.retime(np.random.default_rng(seed), beats, classes, "premature")
    assert (np.diff(to)[anew[1:] == S] < 0.95 * FS * 0.8).all()


@pytest.mark.parametrize("name", [*augment.FIBRILLATING, "100"])
def test_no_beat_is_made_premature_in_a_patient_who_fibrillates(name: str) -> None:
    record = replace(simulated_records(1, seconds=60)[0], name=name)
    record = replace(record, labels=np.zeros_like(record.labels))
    recipe = Recipe(retimed=1.0, rhythms=(1.0, 0.0, 0.0), blocked=0.0, rare=0.0)
    noise, made = simulated_noise(seconds=30), 0
    for seed in range(12):
        _, labels = augment.example(
            np.random.default_rng(seed), [record], noise, recipe, 20 * FS, None
        )
        made += int((labels == S + 1).any())
    assert (made == 0) == (name in augment.FIBRILLATING)


@pytest.mark.parametrize("rhythm", range(3))
def test_labelled_beats_lie_on_real_signal(rhythm: int) -> None:
    """None on signal that is not there: at a crop's end its last value would be held."""
    record = simulated_records(1, seconds=60)[0]
    shares = np.eye(3)[rhythm]
    recipe = Recipe(retimed=1.0, rhythms=tuple(shares), blocked=0.0)
    for seed in range(30):
        ecg, labels = augment.example(
            np.random.default_rng(seed),
            [record],
            np.zeros((1, 40 * FS), dtype=np.float32),
            recipe,
            20 * FS,
            None,
        )
        starts = np.flatnonzero((labels[1:] > 0) & (labels[:-1] <= 0)) + 1
        for start in starts[(starts > 0) & (starts < len(ecg) - 2 * augment.BEAT_REACH)]:
            assert np.ptp(ecg[start : start + 2 * augment.BEAT_REACH]) > 0.02


@given(seed=st.integers(0, 1000), rhythm=st.sampled_from(RHYTHMS))
def test_moved_beats_lie_at_their_new_place_with_their_qrs_unchanged(
    seed: int, rhythm: str
) -> None:
    beats = np.cumsum(np.full(30, 0.8 * FS))
    classes = np.full(30, N, dtype=np.int8)
    to, _ = augment.retime(np.random.default_rng(seed), beats, classes, rhythm)
    samples = int(to[-1])
    at = augment.warp(beats, to, samples)
    assert (np.diff(at) >= 0).all()
    pace = (beats[-1] - beats[0]) / (to[-1] - to[0])
    for beat, place in zip(beats, to, strict=True):
        middle = round(place)
        around = np.arange(middle - round(0.05 * FS), min(middle + round(0.05 * FS), samples))
        np.testing.assert_allclose(at[around], beat + (around - place) * pace, atol=1e-6)


def test_fibrillation_flattens_p_waves_and_leaves_the_qrs() -> None:
    made = simulated_records(1, seconds=30)[0]
    ecg = made.signal[0].astype(np.float64)
    changed = augment.fibrillating(np.random.default_rng(0), ecg, made.beats)
    wave = np.ptp(changed - ecg)
    assert wave > 0
    peaks = made.beats[(made.beats > FS) & (made.beats < len(ecg) - FS)]
    assert np.abs(changed - ecg)[peaks].max() < 0.25
    # Where the P wave was, two samples next to each other hardly differ any more.
    before = peaks - round(0.15 * FS)
    assert np.abs(np.diff(changed)[before]).max() < 0.05


@given(seed=st.integers(0, 1000), rate=st.floats(40, 180), ventricular=st.sets(st.integers(0, 29)))
def test_blocking_removes_the_beat_and_nothing_else(
    seed: int, rate: float, ventricular: set[int]
) -> None:
    beats = (FS * (1 + np.arange(30) * 60 / rate)).astype(np.int64)
    classes = np.full(30, N, dtype=np.int8)
    classes[list(ventricular)] = V
    before = np.zeros(beats[-1] + FS)
    before[beats] = 1.0
    ecg = before.copy()
    kept = augment.block(np.random.default_rng(seed), ecg, beats, classes)
    assert (classes[~kept] == N).all()
    assert (ecg[beats[kept]] == 1.0).all()
    assert not ecg[beats[~kept]].any()
    if rate > 120:
        assert kept.all()  # no room: the next P wave would go with it


@pytest.mark.parametrize("retimed", [0.0, 1.0])
def test_a_step_is_a_function_of_its_seed_and_number(retimed: float) -> None:
    from training.model import HOP, Design

    records, noise = simulated_records(4, seconds=80), simulated_noise(seconds=60)
    recipe = Recipe(batch=4, window_batch=2, crop_s=12.0, retimed=retimed)
    ecg, targets = augment.draw(records, noise, recipe, Design(), 3)
    again, labels = augment.draw(records, noise, recipe, Design(), 3)
    other, _ = augment.draw(records, noise, recipe, Design(), 4)
    assert ecg.shape == (6, 12 * FS)
    assert targets.shape == (6, 12 * FS // HOP)
    assert bool((ecg == again).all() and (targets == labels).all())
    assert not bool((ecg == other).all())
    assert bool(ecg.isfinite().all())
    assert bool((ecg[:, 0] == 0).all())
    assert set(targets.unique().tolist()) <= {augment.IGNORE, 0, 1, 2, 3, 4, 5}


@pytest.mark.parametrize(
    ("changes", "spread", "labels"),
    [
        (
            {},
            (0.3064215, 0.1815564, 0.4408741, 0.2551361, 0.2117588, 0.1546508),
            (48, 45, 51, 39, 2, 24),
        ),
        (
            {"retimed": 0.5, "fibrillating": 2.0},
            (0.2611041, 0.1815564, 0.1885776, 0.2565036, 0.4768404, 0.2367979),
            (45, 45, 24, 45, 30, 0),
        ),
    ],
)
def test_a_recipe_without_strangers_draws_what_it_always_drew(
    changes: dict[str, float], spread: tuple[float, ...], labels: tuple[int, ...]
) -> None:
    records, noise = simulated_records(4, seconds=80), simulated_noise(seconds=60)
    recipe = Recipe(batch=4, window_batch=2, crop_s=12.0, **changes)
    ecg, targets = augment.draw(records, noise, recipe, Design(), 3, pools=[records[:1]] * 3)
    np.testing.assert_allclose(ecg.double().std(dim=1), spread, rtol=1e-5)
    assert targets.sum(dim=1).tolist() == list(labels)


def strip(seconds: float, *, leads: int = 1) -> Record:
    """A flat strip with a beat each second, of which nothing is known from 3 to 4 s."""
    samples, beats = round(seconds * FS), np.arange(FS // 2, round(seconds * FS), FS)
    signal = np.zeros((leads, samples), dtype=np.float32)
    signal[:, beats] = 1.0
    beats = beats[beats // FS != 3]
    return Record(
        "x",
        "cinc2017",
        ("?",) * leads,
        signal,
        beats,
        np.zeros(len(beats), dtype=np.int8),
        np.array([[3 * FS, 4 * FS]]),
    )


@pytest.mark.parametrize(("pool", "unknown"), [*enumerate(augment.DOUBTFUL)])
def test_crops_come_from_the_pool_whose_share_is_wanted(pool: int, unknown: int) -> None:
    shares = tuple(np.eye(3)[pool].tolist())
    recipe = Recipe(batch=6, window_batch=0, crop_s=12.0, strangers=shares, blocked=0.0)
    pools = [[strip(seconds=30.0)] if i == pool else [] for i in range(3)]
    noise, seen = np.zeros((1, 30 * FS), dtype=np.float32), set()
    for step in range(6):
        _, targets = augment.draw([], noise, recipe, DESIGN, step, pools)
        seen |= set(targets.unique().tolist())
    assert seen == {0, 1, unknown}


def test_some_crops_come_from_strangers_and_the_rest_from_holter() -> None:
    recipe = Recipe(strangers=(0.3, 0.0, 0.2))
    drawn = [augment.pick(np.random.default_rng(seed), recipe.strangers) for seed in range(4000)]
    assert {which: drawn.count(which) / 4000 for which in (0, 1, 2, None)} == pytest.approx(
        {0: 0.3, 1: 0.0, 2: 0.2, None: 0.5}, abs=0.03
    )


def test_a_strip_shorter_than_a_crop_is_held_after_its_end() -> None:
    recipe = Recipe(strangers=(1.0, 0.0, 0.0), blocked=0.0)
    noise = np.zeros((1, 30 * FS), dtype=np.float32)
    for seed in range(20):
        ecg, labels = augment.example(
            np.random.default_rng(seed), [], noise, recipe, 20 * FS, None, [[strip(seconds=9.0)]]
        )
        assert len(ecg) == len(labels) == 20 * FS
        assert (labels > 0).sum() >= 6 * 2 * augment.BEAT_REACH
        held = round(11.0 * FS)  # nine seconds at the slowest
        assert not labels[held:].any()
        assert np.ptp(ecg[held:]) == 0


@pytest.mark.parametrize("seed", range(12))
def test_another_device_moves_no_beat_and_starts_settled(seed: int) -> None:
    rng = np.random.default_rng(seed)
    time = np.arange(20 * FS) / FS
    beats = np.arange(2, 19) * FS
    ecg = 3.0 + sum(np.exp(-(((time - beat / FS) / 0.02) ** 2)) for beat in beats)
    heard = amplifier.heard(rng, ecg)
    assert heard.shape == ecg.shape
    assert np.ptp(heard[: FS // 2]) < 0.01
    for beat in beats:
        around = heard[beat - FS // 4 : beat + FS // 4]
        assert abs(int(np.argmax(around)) - FS // 4) <= 0.03 * FS
        assert 0.4 < np.ptp(around) < 1.6


def test_other_patients_are_a_fifth_to_four_times_as_large() -> None:
    rng = np.random.default_rng(0)
    gains = [amplifier.gain(rng) for _ in range(2000)]
    assert 0.2 <= min(gains) < 0.25
    assert 3.2 < max(gains) <= 4.0
    assert np.median(gains) == pytest.approx(np.sqrt(0.8), rel=0.2)


def test_frames_are_labelled_with_their_delayed_moment() -> None:
    labels = np.zeros(100 * HOP, dtype=np.int8)
    labels[1000 - augment.BEAT_REACH : 1000 + augment.BEAT_REACH] = 3
    targets = augment.frame_targets(labels, DESIGN)
    frames = np.flatnonzero(targets)
    assert len(frames) == 3
    moments = frames * HOP + HOP // 2 - DESIGN.delay_samples
    assert abs(moments[1] - 1000) <= HOP // 2
    assert (targets[frames] == 3).all()


def test_a_window_alone_is_held_and_its_cut_beats_are_ignored() -> None:
    rng, recipe = np.random.default_rng(0), Recipe(crop_s=6.0)
    records, noise = simulated_records(1, seconds=40), simulated_noise(seconds=20)
    for _ in range(20):
        ecg, labels = augment.example(rng, records, noise, recipe, 6 * FS, FS)
        assert ecg.shape == labels.shape == (6 * FS,)
        assert ecg[0] == 0
        assert np.ptp(ecg[FS:]) == 0
        assert not labels[FS:].any()


def test_beats_cut_by_a_windows_edge_and_all_flutter_are_ignored() -> None:
    beats, classes = np.array([20, 180, 350]), np.zeros(3, dtype=np.int8)
    at = np.arange(360.0)
    for edges in (True, False):
        labels = augment.sample_labels(np.array([[240, 300]]), beats, classes, at, edges=edges)
        cut = augment.IGNORE if edges else 1
        assert (labels[[20, 180, 350]] == [cut, 1, cut]).all()
        assert (labels[240:300] == augment.IGNORE).all()
        assert not labels[80:150].any()
