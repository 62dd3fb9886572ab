"""The central station in a browser: order, alarms that latch, limits, sound, log, pages."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from page_driver import frames, until
from page_tools import npm_package
from werkzeug.serving import make_server

from runtime.server.feed import Quiet
from runtime.server.ward import Ward, ward_application
from runtime.simulate import simulate

FS = 100.0
LISTEN = """() => { window.sounded = [];
    const start = OscillatorNode.prototype.start;
    OscillatorNode.prototype.start = function (at) {
        window.sounded.push(this.frequency.value); return start.call(this, at); }; }"""


@pytest.fixture
def ward(monkeypatch: pytest.MonkeyPatch) -> Ward:
    monkeypatch.setattr("runtime.server.ward.SILENT_S", 600.0)
    return Ward("Ward 3")


@pytest.fixture
def address(ward: Ward) -> Iterator[str]:
    server = make_server(
        "127.0.0.1", 0, ward_application(ward), threaded=True, request_handler=Quiet
    )
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def admit(ward: Ward, *names: str, rate: float = 60.0) -> None:
    made = simulate(8, fs=FS, seed=1)
    for name in names:
        ward.take_signal(name, FS, 0, made.signal.astype(np.float32))
        for i in range(9):
            ward.take_beat(name, FS, 60.0 / rate * i, "N")


@pytest.fixture
def open_central(open_page: Callable[..., Any], address: str) -> Callable[..., Any]:
    def open_central(**options: Any) -> Any:
        page = open_page(address, outage=True, **options)  # it has no /health
        until(page, "document.querySelectorAll('.tile').length > 0")
        return page

    return open_central


def names(page: Any) -> list[str]:
    return [text.strip() for text in page.locator(".tile .name").all_inner_texts()]


def alert_of(page: Any, name: str) -> Any:
    return (
        page.locator(".tile")
        .filter(has=page.get_by_role("button", name=name, exact=True))
        .locator(".alert")
    )


def shown(page: Any, text: str) -> str:
    return (
        "[...document.querySelectorAll('.tile .alert')].some((one) => !one.hidden "
        f"&& one.textContent.includes('{text}'))"
    )


class TestAlarms:
    def test_the_gravest_patient_comes_first(self, ward: Ward, open_central: Any) -> None:
        admit(ward, *(f"p{i:02}" for i in range(20)))
        page = open_central()
        assert names(page) == [f"p{i:02}" for i in range(16)]
        assert page.locator("#page").inner_text() == "1 of 2"
        ward.take_event("p18", FS, "couplet", 3.0, 3.5)
        ward.take_event("p19", FS, "asystole", 3.0, None)
        until(page, "document.querySelector('.tile .name').textContent === 'p19'")
        assert names(page)[:2] == ["p19", "p18"]
        page.locator("#next").click()
        assert names(page) == ["p14", "p15", "p16", "p17"]

    def test_an_alarm_stays_until_it_is_acknowledged(self, ward: Ward, open_central: Any) -> None:
        admit(ward, "a", "b")
        page = open_central()
        ward.take_event("b", FS, "asystole", 3.0, None)
        until(page, shown(page, "!!! Asystole"))
        until(page, "document.querySelector('.tile').classList.contains('high')")
        ward.take_event("b", FS, "asystole", 3.0, 5.0)
        until(page, shown(page, "!!! Asystole (over)"))
        alert_of(page, "b").click()
        until(page, "!" + shown(page, "Asystole"))
        log = page.locator("#log li").all_inner_texts()
        assert ["acknowledged" in log[0], "over" in log[1], len(log)] == [True, True, 3]

    def test_what_goes_on_is_shown_quietly_once_acknowledged(
        self, ward: Ward, open_central: Any
    ) -> None:
        admit(ward, "a")
        page = open_central()
        ward.take_event("a", FS, "ventricular_fibrillation", 3.0, None)
        until(page, shown(page, "Ventricular fibrillation"))
        alert_of(page, "a").click()
        until(page, "document.querySelector('.tile').classList.contains('quiet')")
        assert alert_of(page, "a").is_disabled()
        ward.take_event("a", FS, "ventricular_fibrillation", 3.0, 9.0)
        until(page, "!" + shown(page, "fibrillation"))
        ward.take_event("a", FS, "ventricular_fibrillation", 12.0, None)  # alarms again
        until(page, shown(page, "!!! Ventricular fibrillation"))

    def test_a_rate_beyond_a_patients_own_limits_alarms(
        self, ward: Ward, open_central: Any
    ) -> None:
        admit(ward, "a", "b", rate=100)
        page = open_central()
        page.get_by_role("button", name="b", exact=True).click()
        page.locator("#limit-high").fill("5")
        page.locator("#limit-high").press("Tab")
        assert "Expected a low limit" in page.locator("#limit-message").inner_text()
        page.locator("#limit-high").fill("90")
        page.locator("#limit-high").press("Tab")
        until(page, shown(page, "!! Heart rate above 90"))
        page.locator("#bed-close").click()
        assert names(page)[0] in "ab"
        until(page, "document.querySelector('.tile .name').textContent === 'b'")
        assert not alert_of(page, "a").is_visible()
        page.reload()  # limits stay in the browser
        until(page, shown(page, "!! Heart rate above 90"))

    def test_a_patient_who_gives_nothing_alarms(
        self, ward: Ward, open_central: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        admit(ward, "a")
        page = open_central()
        monkeypatch.setattr("runtime.server.ward.SILENT_S", -1.0)
        ward.take_signal("a", FS, 800, np.zeros(5, np.float32))
        until(page, shown(page, "!! No signal"))
        assert page.locator(".tile .rate").inner_text() == "--"
        assert any(frames(page) == 0 for _ in range(30))  # once the pen is at the end


class TestSound:
    def test_it_is_off_at_first_then_bursts_as_the_priority_has_them(
        self, ward: Ward, open_central: Any
    ) -> None:
        admit(ward, "a")
        page = open_central()
        page.evaluate(LISTEN)
        ward.take_event("a", FS, "asystole", 3.0, None)
        until(page, shown(page, "Asystole"))
        page.wait_for_timeout(600)
        assert page.evaluate("window.sounded.length") == 0
        page.locator("#sound").click()
        until(page, "window.sounded.length === 10")
        alert_of(page, "a").click()
        ward.take_event("a", FS, "pause", 9.0, 11.0)
        until(page, "window.sounded.length === 13")

    def test_the_beats_of_the_chosen_patient_sound(self, ward: Ward, open_central: Any) -> None:
        admit(ward, "a", "b")
        page = open_central()
        page.evaluate(LISTEN)
        page.get_by_role("button", name="b", exact=True).click()
        page.locator("#bed-close").click()
        page.locator("#tone").click()
        ward.take_beat("a", FS, 9.0, "N")
        ward.take_beat("b", FS, 9.0, "N")
        until(page, "window.sounded.length > 0")
        page.wait_for_timeout(400)
        assert page.evaluate("window.sounded") == [880]


def test_log_and_beats_are_saved(ward: Ward, open_central: Any) -> None:
    admit(ward, "a")
    page = open_central()
    ward.take_event("a", FS, "couplet", 8.5, 9.0)
    ward.take_beat("a", FS, 9.0, "V")
    until(page, shown(page, "! Couplet"))
    with page.expect_download() as download:
        page.locator("#save-log").click()
    lines = download.value.path().read_text().splitlines()
    assert lines[0] == "time,patient,priority,what,text"
    assert [line.split(",")[1:] for line in lines[1:]] == [
        ["a", "low", "began", "Couplet"],
        ["a", "low", "ended", "Couplet"],
    ]
    page.get_by_role("button", name="a", exact=True).click()
    with page.expect_download() as download:
        page.locator("#bed-beats").click()
    assert download.value.path().read_text() == "time,label\n9.0000,V\n"


def test_every_kind_of_event_has_a_priority() -> None:
    from runtime.rhythm import kinds
    from runtime.server.ward import ward_application

    with ward_application(Ward("w")).test_client().get("/static/priorities.js") as answer:
        table = answer.get_data(as_text=True)
    listed = dict(re.findall(r'^  "?([\w-]+)"?: ("high"|"medium"|"low"|null),$', table, re.M))
    assert {kind.name for kind in kinds()} <= set(listed)
    assert {kind.name for kind in kinds() if kind.critical} == {
        name for name, priority in listed.items() if priority == '"high"'
    }


@pytest.mark.parametrize(
    "options",
    [
        {"color_scheme": "light", "viewport": {"width": 1280, "height": 800}},
        {"color_scheme": "dark", "viewport": {"width": 1280, "height": 800}},
        {"color_scheme": "light", "viewport": {"width": 820, "height": 1180}},
        {"color_scheme": "light", "viewport": {"width": 390, "height": 844}},
        {"color_scheme": "dark", "viewport": {"width": 390, "height": 844}},
    ],
    ids=["light", "dark", "tablet", "phone", "dark phone"],
)
def test_axe_finds_nothing(ward: Ward, open_central: Any, options: dict[str, Any]) -> None:
    axe = (npm_package("axe-core") / "axe.min.js").read_text(encoding="utf-8")
    admit(ward, *"abcde")
    page = open_central(reduced_motion="reduce", **options)
    for name, kind in (("a", "asystole"), ("b", "pause"), ("c", "bigeminy")):
        ward.take_event(name, FS, kind, 3.0, None)
    ward.take_event("d", FS, "ventricular_tachycardia", 3.0, None)
    until(page, "document.querySelectorAll('.tile .alert:not([hidden])').length === 4")
    alert_of(page, "d").click()
    page.evaluate(axe)
    assert violations(page) == []
    page.get_by_role("button", name="e", exact=True).click()
    assert violations(page) == []


def violations(page: Any) -> list[str]:
    found = page.evaluate("axe.run().then(({violations}) => violations)")
    return [f"{one['id']}: {one['nodes'][0]['html']}" for one in found]
