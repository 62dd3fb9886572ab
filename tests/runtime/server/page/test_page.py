"""The page shows what the detector finds, whatever happens."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import numpy as np
import pytest
from page_driver import (
    HEART_RATE,
    Server,
    csv,
    drop,
    is_shown,
    piece_by_piece,
    saved,
    saved_signal,
    state,
    until,
    vital_signs,
    whole,
)

from runtime import Detector
from runtime.simulate import simulate


@pytest.mark.parametrize("slow_ms", [0, 1500])
def test_a_server_that_is_killed_loses_and_doubles_no_beat(
    open_page: Callable[..., Any], server: Server, detector: Detector, slow_ms: int
) -> None:
    page = open_page(outage=True)
    page.evaluate(
        """wait => {
        const plain = window.fetch;
        window.fetch = async (...request) => {
            const answer = await plain(...request);
            if (wait) await new Promise(resolve => setTimeout(resolve, wait));
            return answer;
        };}""",
        slow_ms,
    )
    until(page, HEART_RATE)
    server.kill()
    page.get_by_text("does not answer").wait_for()
    until(page, "document.getElementById('heart-rate').textContent === '--'")  # nothing stale
    server.start()
    state(page, "Live")
    page.get_by_role("button", name="Pause").click()
    state(page, "Paused")  # which it says once all the signal is answered for
    signal = saved_signal(page)
    assert len(signal) > 5 * 360
    is_shown(page, detector.stream(360).push(signal))
    assert page.locator("#problem").is_hidden()
    page.get_by_role("button", name="Pause").click()
    state(page, "Live")


@pytest.mark.parametrize(("seconds", "pace", "refused"), [(130, "fast", 1), (7, "real", 14)])
def test_another_model_in_between_loses_and_doubles_no_beat(
    open_page: Callable[..., Any], detector: Detector, seconds: float, pace: str, refused: int
) -> None:
    """The page starts anew from stored signal where its token is no longer taken; early in the
    recording that is from its first sample."""
    signal = simulate(seconds, fs=250, seed=8).signal
    page = open_page(outage=True)
    page.evaluate(f"document.getElementById('pace').value = '{pace}'")
    asked = []

    def refuse_once(route: Any) -> None:
        with_token = "carry_bytes=0" not in route.request.url
        asked.append(route.request.url)
        if with_token and sum("carry_bytes=0" not in url for url in asked) == refused:
            route.fulfill(
                status=409,
                content_type="application/problem+json",
                body=json.dumps({"detail": "the token was saved by another model."}),
            )
        else:
            route.continue_()

    page.get_by_role("button", name="Pause").click()  # so that the patient asks for nothing
    page.wait_for_timeout(300)
    piece_by_piece(page)
    page.route("**/stream?*", refuse_once)
    drop(page, csv(signal, 250))
    state(page, "Finished")
    assert sum("carry_bytes=0" in url for url in asked) >= 2
    shown = saved(page, "Save beats")
    truth = whole(detector, signal, 250)
    assert len(shown) == len(truth)
    np.testing.assert_allclose(shown["time"], [beat.time for beat in truth], atol=0.02)


@pytest.mark.parametrize(("seconds", "pace", "changed"), [(130, "fast", 12), (7, "real", 14)])
def test_a_new_model_goes_on_from_the_last_half_minute(
    open_page: Callable[..., Any], detector: Detector, seconds: float, pace: str, changed: int
) -> None:
    """The token is made another model's under way, so the server's 409 and its seam are real."""
    signal = simulate(seconds, fs=250, seed=8).signal
    page = open_page(outage=True)
    page.evaluate(f"document.getElementById('pace').value = '{pace}'")
    asked: list[dict[str, str]] = []

    def as_another_models(route: Any) -> None:
        query = dict(parse_qsl(urlsplit(route.request.url).query))
        asked.append(query)
        size, body = int(query["carry_bytes"]), bytearray(route.request.post_data_buffer)
        if sum(one["carry_bytes"] != "0" for one in asked) not in (changed, changed + 1):
            route.continue_()
            return
        body[6] ^= 1  # the first byte of the network's name
        body[size - 4 : size] = zlib.crc32(body[: size - 4]).to_bytes(4, "little")
        route.continue_(post_data=bytes(body))

    page.get_by_role("button", name="Pause").click()  # so that the patient asks for nothing
    page.wait_for_timeout(300)
    piece_by_piece(page)
    page.route("**/stream?*", as_another_models)
    drop(page, csv(signal, 250))
    state(page, "Finished")
    assert sum(one["carry_bytes"] == "0" for one in asked) == 1  # it never started anew
    again = [one for one in asked if "recent_bytes" in one]
    assert len(again) == 1
    before = int(again[0]["recent_bytes"]) / 8 / 250
    assert before == 30 if seconds > 30 else 0 < before < seconds
    shown = saved(page, "Save beats")
    truth = whole(detector, signal, 250)
    assert len(shown) == len(truth)
    np.testing.assert_allclose(shown["time"], [beat.time for beat in truth], atol=0.02)


def test_an_event_that_lasts_keeps_its_line_under_a_new_model(
    open_page: Callable[..., Any],
) -> None:
    page = open_page(outage=True)
    events = [
        {"kind": kind, "start": start, "end": None, "confidence": 0.9, "rule": "x"}
        for kind, start in (("bigeminy", 1.5), ("tachycardia", 2.0))
    ]
    asked: list[str] = []

    def changing(route: Any) -> None:
        asked.append(route.request.url)
        if len(asked) == 8:
            problem = {"detail": "the token was saved by another model.", "recent_s": 30.0}
            route.fulfill(
                status=409, content_type="application/problem+json", body=json.dumps(problem)
            )
            return
        given = {1: events, 9: [events[0] | {"start": 2.75}]}.get(len(asked), [])
        if len(asked) == 12:
            given = [events[0] | {"start": 2.75, "end": 4.0}]
        answer = route.fetch()
        route.fulfill(response=answer, json=answer.json() | {"events": given})

    page.evaluate("document.getElementById('pace').value = 'real'")
    page.get_by_role("button", name="Pause").click()
    page.wait_for_timeout(300)
    page.route("**/stream?*", changing)
    drop(page, csv(simulate(7, fs=250, seed=5, ectopic=0.0).signal, 250))
    page.get_by_role("button", name="Tachycardia").wait_for()
    state(page, "Finished")
    for name in ("Bigeminy", "Tachycardia"):
        line = page.get_by_role("button", name=name)
        assert line.count() == 1
        assert "lasting" not in line.inner_text()


def test_events_are_announced_listed_and_open_their_strip(open_page: Callable[..., Any]) -> None:
    page = open_page()

    def with_events(route: Any) -> None:
        answer = route.fetch()
        event = {
            "kind": "ventricular_tachycardia",
            "start": 3.0,
            "end": 6.0,
            "confidence": 0.9,
            "rule": "3 beats above 100/min",
        }
        route.fulfill(
            response=answer,
            json=answer.json()
            | {"events": [event, event], "rhythm": "bigeminy", "heart_rate": 61.4},
        )

    state(page, "Live")
    page.get_by_role("button", name="Pause").click()  # so that the patient asks for nothing
    state(page, "Paused")
    page.evaluate("document.getElementById('pace').value = 'fast'")
    piece_by_piece(page)
    page.route("**/stream?*", with_events)
    drop(page, csv(simulate(40, fs=250, seed=5, ectopic=0.3).signal, 250))
    state(page, "Finished")
    assert page.locator("#rhythm-now").inner_text() == "Bigeminy"
    assert page.locator("#heart-rate").inner_text() == "61"
    assert "Ventricular tachycardia at 0:03" in page.locator("#alarm").inner_text()
    event = page.get_by_role("button", name="Ventricular tachycardia")
    assert event.count() == 1
    assert "3 beats above 100/min" in event.inner_text()
    lines = page.locator("#list button").all_inner_texts()
    times = [int(line.rsplit(":", 1)[1]) for line in lines if line.startswith("Ventricular beat")]
    assert times  # but those that the event is made of have no line of their own
    assert not [time for time in times if 3 < time < 5]
    # By keyboard: one stop of the Tab key, arrows inside, Enter shows and tells the strip.
    buttons = page.locator("#list button")
    assert buttons.count() > 3
    page.locator("#newest").focus()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "strip"
    page.keyboard.press("ArrowRight")
    assert page.locator("#newest").get_attribute("aria-pressed") == "false"
    for place in ("save-png", "save-pdf", "filter", "search"):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.id") == place
    page.keyboard.press("Tab")
    page.keyboard.press("End")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    chosen = page.evaluate("document.activeElement.innerText")
    start = re.search(r"\d+:\d\d", chosen.split("\n")[-1]).group()  # type: ignore[union-attr]
    text = page.locator("#strip-text").inner_text()
    first, last = re.findall(r"(\d+):(\d\d\.\d)", text)
    seconds = [60 * int(m) + float(s) for m, s in ((*start.split(":"),), first, last)]
    assert seconds[1] <= seconds[0] <= seconds[2]
    assert page.locator("#announce").inner_text() == f"Strip {text}"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "save-beats"


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_controls_have_names_and_text_has_contrast(
    open_page: Callable[..., Any], scheme: str, width: int
) -> None:
    page = open_page(color_scheme=scheme, viewport={"width": width, "height": 800})
    state(page, "Live")
    assert page.get_by_text("Not a medical device", exact=True).is_visible()
    for role in ("button", "combobox"):
        for control in page.get_by_role(role).all():
            assert control.evaluate("e => e.labels?.[0]?.innerText || e.ariaLabel || e.innerText")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    colours = page.evaluate("""() => {
        const style = getComputedStyle(document.documentElement);
        const names = ["text", "quiet", "accent", "alarm", "warn", "n", "s", "v", "f", "q"];
        return ["panel", "paper"].flatMap(ground => names.map(name =>
            [name, ground, ...[name, ground].map(one => style.getPropertyValue("--" + one))]));
        }""")
    for name, ground, ink, under in colours:
        light, dark = sorted((luminance(ink), luminance(under)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, f"{name} on {ground}"  # WCAG 2.2, 1.4.3


def luminance(colour: str) -> float:
    """Relative luminance of #rgb or #rrggbb, as WCAG 2.2 defines it."""
    digits = colour.strip().lstrip("#")
    digits = digits if len(digits) == 6 else "".join(2 * digit for digit in digits)
    parts = np.array([int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)])
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def refuse(status: int, detail: str) -> Callable[[Any], None]:
    """A route that the server answers with a problem."""
    return lambda route: route.fulfill(
        status=status, content_type="application/problem+json", body=json.dumps({"detail": detail})
    )


def test_a_refused_run_stops_and_shows_the_reason(open_page: Callable[..., Any]) -> None:
    page = open_page(outage=True)
    until(page, HEART_RATE)
    page.route("**/stream?*", refuse(400, "sample 3 is not finite"))
    state(page, "Stopped")
    assert vital_signs(page) == ["--", "--", "--"]
    assert "sample 3 is not finite" in page.get_by_role("alert").first.inner_text()
    for _ in range(2):
        page.get_by_role("button", name="Pause").click()
        assert page.locator("#state").inner_text() == "Stopped"
    signal = len(saved(page, "Save signal"))
    page.wait_for_timeout(300)
    assert len(saved(page, "Save signal")) == signal  # nothing comes that would go nowhere
    page.locator("#rhythm").select_option("af")
    page.locator("#source").dispatch_event("change")
    page.unroute("**/stream?*")
    state(page, "Live")  # a new run goes on


def test_an_event_that_lasts_stays_on_the_list_until_the_stream_starts_anew(
    open_page: Callable[..., Any],
) -> None:
    lasting = {
        "kind": "atrial_fibrillation",
        "start": 0.5,
        "end": None,
        "confidence": 0.9,
        "rule": "x",
    }
    pauses = [
        {"kind": "pause", "start": i / 50, "end": i / 50 + 0.5, "confidence": 0.9, "rule": "x"}
        for i in range(50, 370)
    ]
    events = [lasting, *pauses]
    page = open_page(outage=True)

    def with_events(route: Any) -> None:
        answer = route.fetch()
        told = []
        if "carry_bytes=0" in route.request.url:  # the file's first chunk
            told, events[:] = events.copy(), []
        route.fulfill(response=answer, json=answer.json() | {"events": told})

    state(page, "Live")  # the patient's stream is begun
    page.get_by_role("button", name="Pause").click()  # so that it asks for nothing meanwhile
    state(page, "Paused")
    page.evaluate("document.getElementById('pace').value = 'real'")
    page.route("**/stream?*", with_events)
    drop(page, csv(simulate(30, fs=250, seed=5, ectopic=0.0).signal, 250))
    line = page.get_by_role("button", name="Atrial fibrillation")
    line.wait_for()
    assert "lasting" in line.inner_text()
    assert page.locator("#event-count").inner_text() == "300"
    assert page.locator("#list button").count() == 100
    for shown in (200, 300):
        page.locator("#more").click()
        assert page.locator("#list button").count() == shown
    page.wait_for_timeout(2500)  # so that some of it is decided
    page.route("**/stream?*", refuse(409, "the token was saved by another model."), times=1)
    until(page, "!document.getElementById('list').innerText.includes('lasting')")
    assert line.count() == 1
    state(page, "Live")


def test_a_rejected_bearer_token_can_be_entered_again(
    open_page: Callable[..., Any], server: Server
) -> None:
    def guard(route: Any) -> None:
        if route.request.headers.get("authorization") == "Bearer right":
            route.continue_()
        else:
            refuse(401, "no valid bearer token")(route)

    page = open_page(outage=True)
    page.route("**/model", guard)
    page.reload()
    state(page, "Token required")
    assert page.locator("#login-message").inner_text() == ""  # none was given yet
    for button in ("Save beats", "Save signal"):
        page.get_by_role("button", name=button).click()  # of nothing: no error
    for token, said in (
        ("right\u2026", "of ASCII only"),
        ("wrong", "did not accept"),
        ("right", ""),
    ):
        page.locator("#token").fill(token)
        page.get_by_role("button", name="Connect").click()
        if said:
            page.locator("#login-message").get_by_text(said).wait_for()
            assert page.evaluate("sessionStorage.getItem('token')") is None
            assert page.locator("#login").is_visible()
    state(page, "Live")
    assert page.locator("#login").is_hidden()


def test_every_field_has_a_name_of_its_own(open_page: Callable[..., Any]) -> None:
    """As Chromium computes it for screen readers, of the fields of all sources."""
    page = open_page()
    state(page, "Live")  # by then it has hidden those of other sources
    page.evaluate(
        "document.querySelectorAll('#controls [data-for]').forEach(it => { it.hidden = false; })"
    )
    tools = page.context.new_cdp_session(page)
    nodes = tools.send("Accessibility.getFullAXTree")["nodes"]
    roles = {"textbox", "spinbutton", "combobox", "searchbox", "checkbox", "slider"}
    names = [
        node["name"]["value"].strip()
        for node in nodes
        if not node["ignored"] and node["role"]["value"] in roles
    ]
    assert len(names) > 8
    assert all(names)
    assert sorted(names) == sorted(set(names))
    for name in ("Unit of the file", "Unit of the device", "Rate, Hz, of the file"):
        assert name in names
