"""Bounded work."""

from __future__ import annotations

import random

import numpy as np
import pytest

from runtime.server.admission import LONGEST, SHORTEST, UNDER_OVERLOAD, Admission, OverloadError


class TestAdmission:
    def work(self, admission: Admission, clock: list[float], seconds: float) -> None:
        with admission.work():
            clock[0] += seconds

    def test_a_burst_of_short_requests_is_taken(self) -> None:
        admission = Admission()
        entered = [admission.work() for _ in range(LONGEST)]
        for one in entered:
            one.__enter__()
        with pytest.raises(OverloadError, match="Retry-After"):
            admission.check()
        for one in entered:
            one.__exit__(None, None, None)
        admission.check()

    def test_long_requests_queue_less(self) -> None:
        clock = [0.0]
        admission = Admission(clock=lambda: clock[0])
        for _ in range(500):
            self.work(admission, clock, 0.004)
        assert 12 <= admission.room <= 13  # 50 ms of them

    def test_one_slow_request_hardly_shortens_the_queue(self) -> None:
        clock = [0.0]
        admission = Admission(clock=lambda: clock[0])
        self.work(admission, clock, 2.0)
        assert admission.room > 2 * SHORTEST
        for _ in range(30):  # but many of such a length are no mishap
            self.work(admission, clock, 2.0)
        assert admission.room == SHORTEST

    def test_the_queue_is_given_up_in_overload_and_restored_after(self) -> None:
        admission, clock = Admission(), [0.0]
        entered = [admission.work() for _ in range(LONGEST)]
        for one in entered:
            one.__enter__()
        for _ in range(100):
            with pytest.raises(OverloadError):
                admission.check()
        assert admission.room == UNDER_OVERLOAD
        for one in entered:
            one.__exit__(None, None, None)
        for _ in range(100):
            self.work(admission, clock, 0.0)
        assert admission.room > UNDER_OVERLOAD

    def test_accepted_requests_hardly_wait_at_ten_times_capacity(self) -> None:
        admission, chance, service_s = Admission(), random.Random(0), 0.05
        now, free, leaving, sojourns, refused = 0.0, 0.0, [], [], 0
        while now < 60:  # one computes after the other
            now += chance.expovariate(10 / service_s)
            while leaving and leaving[0] <= now:
                leaving.pop(0)
                admission.leave(service_s)
            try:
                admission.enter()
            except OverloadError:
                refused += 1
                continue
            free = max(free, now) + service_s
            leaving.append(free)
            sojourns.append(free - now)
        assert np.percentile(sojourns, 99) == pytest.approx(service_s)
        assert max(sojourns) < 0.05 * LONGEST
        assert len(sojourns) > 0.85 * 60 / service_s  # and hardly any time is wasted
        assert refused > 8 * len(sojourns)

    def test_changes_of_work_are_reported_after_an_error_too(self) -> None:
        told: list[int] = []
        admission = Admission(told.append)
        with pytest.raises(ValueError, match="x"), admission.work():
            raise ValueError("x")
        assert told == [1, -1]
