"""The times of schedules: what cron means, on ordinary days and on those on which clocks are changed."""

from __future__ import annotations

from datetime import datetime

import pytest

from jobs.job_files.settings import Schedule
from jobs.job_files.times import Times, check_cron, parse_interval


def times(start: str, count: int, **schedule: str) -> list[str]:
    found = Times(Schedule.model_validate(schedule)).first(datetime.fromisoformat(start), count)
    return [time.isoformat() for time in found]


@pytest.mark.parametrize(
    ("zone", "cron", "start", "expected"),
    [
        # Spring: at 02:00 it is 03:00. Half past two comes one hour later, once.
        ("Europe/Berlin", "30 2 * * *", "2027-03-27T12:00+01:00", ["2027-03-28T03:30+02:00", "2027-03-29T02:30+02:00"]),
        (
            "Europe/Berlin",
            "30 2,3 * * *",
            "2027-03-28T00:00+01:00",
            ["2027-03-28T03:30+02:00", "2027-03-29T02:30+02:00"],
        ),
        # Midnight itself is skipped in Havana.
        ("America/Havana", "0 0 * * *", "2027-03-13T12:00-05:00", ["2027-03-14T01:00-04:00", "2027-03-15T00:00-04:00"]),
        # Autumn: at 03:00 it is 02:00 again. Half past two is meant once, the first time.
        ("Europe/Berlin", "30 2 * * *", "2026-10-24T12:00+02:00", ["2026-10-25T02:30+02:00", "2026-10-26T02:30+01:00"]),
        ("Europe/Berlin", "30 2 * * *", "2026-10-25T02:31+02:00", ["2026-10-26T02:30+01:00"]),
        # Every half hour is real time: neither a gap nor a run for an hour that was not there.
        (
            "Europe/Berlin",
            "*/30 * * * *",
            "2026-10-25T01:45+02:00",
            [
                "2026-10-25T02:00+02:00",
                "2026-10-25T02:30+02:00",
                "2026-10-25T02:00+01:00",
                "2026-10-25T02:30+01:00",
                "2026-10-25T03:00+01:00",
            ],
        ),
        (
            "America/New_York",
            "*/30 * * * *",
            "2027-03-14T01:15-05:00",
            ["2027-03-14T01:30-05:00", "2027-03-14T03:00-04:00", "2027-03-14T03:30-04:00"],
        ),
        # A change by half an hour.
        ("Australia/Lord_Howe", "15 2 * * *", "2026-10-03T12:00+10:30", ["2026-10-04T02:45+11:00"]),
        # 0 and 7 are Sunday; day of month and day of week are either.
        ("UTC", "0 12 * * 0", "2026-11-25T12:00+00:00", ["2026-11-29T12:00+00:00", "2026-12-06T12:00+00:00"]),
        ("UTC", "0 12 * * 5-7", "2026-11-26T12:00+00:00", ["2026-11-27T12:00+00:00", "2026-11-28T12:00+00:00"]),
        ("UTC", "0 0 13 * fri", "2026-12-05T00:00+00:00", ["2026-12-11T00:00+00:00", "2026-12-13T00:00+00:00"]),
        ("UTC", "0 0 29 2 *", "2026-11-25T00:00+00:00", ["2028-02-29T00:00+00:00"]),
        ("Asia/Tokyo", "* * * * *", "2026-11-25T00:00:30+09:00", ["2026-11-25T00:01+09:00", "2026-11-25T00:02+09:00"]),
    ],
)
def test_cron(zone: str, cron: str, start: str, expected: list[str]) -> None:
    whole = [datetime.fromisoformat(text).isoformat() for text in expected]
    assert times(start, len(expected), cron=cron, time_zone=zone) == whole


def test_an_interval_is_counted_from_the_epoch_so_that_a_restart_changes_nothing() -> None:
    for start in ("2026-11-25T00:07:00+00:00", "2026-11-25T00:14:59.9+00:00"):
        assert times(start, 1, every="15 min") == ["2026-11-25T00:15:00+00:00"]
    assert times("2026-11-25T00:15:00+00:00", 1, every="15 min") == ["2026-11-25T00:30:00+00:00"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "* * * *",
        "* * * * * *",
        "60 * * * *",
        "0 0 30 2 *",
        "0 0 * * 8",
        "0 0 * * fri-mon",
        "0 0 last * *",
        "@daily",
    ],
)
def test_what_is_no_cron_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        check_cron(text)


@pytest.mark.parametrize("text", ["", "5", "0 s", "5 weeks", "400 d", "1.5 h"])
def test_what_is_no_interval_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_interval(text)
