"""The times of a schedule: cron in a time zone, or an interval.

APScheduler's trigger says which times of a wall clock a cron expression means; the days on which clocks are changed
are settled here, as Vixie cron settles them, because the library runs 02:30 twice in autumn and leaves 00:00 out
where spring skips it. A fixed hour (`30 2 * * *`) happens once on every day: a time that the clock skips happens
as much later as it skips (02:30 at 03:30), one that it shows twice happens the first time. Where the hour begins
with `*` the expression means real time: both of the two, and nothing for what is skipped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from .settings import Schedule

DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
UNITS = {"s": 1, "min": 60, "h": 3600, "d": 86_400}
PART = re.compile(r"(?:\*|[a-z0-9]{1,3}(?:-[a-z0-9]{1,3})?)(?:/\d{1,2})?")
JUMP = timedelta(hours=3)  # no clock is changed by more
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def parse_interval(text: str) -> timedelta:
    """Raises:
    ValueError: it is no interval from 1 second to 366 days.
    """
    match = re.fullmatch(r"\s*(\d{1,8})\s*(s|min|h|d)\s*", text)
    if match is None:
        raise ValueError(f"an interval is like '30 s', '15 min', '6 h' or '2 d', got {text!r}")
    length = timedelta(seconds=int(match[1]) * UNITS[match[2]])
    if not timedelta(seconds=1) <= length <= timedelta(days=366):
        raise ValueError(f"an interval is from 1 second to 366 days, got {text!r}")
    return length


def check_cron(text: str) -> None:
    """Raises:
    ValueError: it is no cron expression, or no day of any year is meant by it.
    """
    triggers = cron_triggers(text)
    start = datetime(2024, 1, 1, tzinfo=UTC)  # a leap year begins
    if all(trigger.get_next_fire_time(None, start) is None for trigger in triggers):
        raise ValueError(f"no day is meant by {text!r}; check the day of the month and the month")


def cron_triggers(text: str) -> list[Any]:
    """Triggers over a wall clock without time zone (they take it for UTC), any of which says when.

    Two, where day of month and day of week are both given: cron means either, APScheduler both at once.
    """
    from apscheduler.triggers.cron import CronTrigger

    fields = text.lower().split()
    if len(fields) != 5:
        raise ValueError(
            f"cron has five fields (minute, hour, day of month, month, day of week), got {len(fields)} in {text!r}"
        )
    for field in fields:
        if not all(PART.fullmatch(part) for part in field.split(",")):
            raise ValueError(f"cron's field {field!r} is none; it is a number, a range, * or a list, with /step or not")
    minute, hour, day, month, week_day = fields
    week_day = days_by_name(week_day)
    both = not day.startswith("*") and not week_day.startswith("*")
    pairs = [(day, "*"), ("*", week_day)] if both else [(day, week_day)]
    try:
        return [
            CronTrigger(minute=minute, hour=hour, day=one, month=month, day_of_week=other, timezone=UTC)
            for one, other in pairs
        ]
    except ValueError as error:
        raise ValueError(f"cron cannot mean {text!r}: {error}") from None


def days_by_name(field: str) -> str:
    """Cron counts 0 (and 7) as Sunday, APScheduler 0 as Monday: by names they agree."""
    if field.startswith("*") and "/" not in field:
        return field
    names: list[str] = []
    for part in field.split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        start = 0 if first == "*" else day_number(first)
        stop = 6 if first == "*" or (step and not last) else day_number(last or first)
        if last and stop == 0:
            stop = 7  # mon-sun
        if stop < start:
            raise ValueError(f"cron's days {part!r} go backwards; write the earlier day first")
        if step == "0":
            raise ValueError(f"cron's step in {part!r} must be at least 1")
        names += [DAYS[number % 7] for number in range(start, stop + 1, int(step or 1))]
    return ",".join(dict.fromkeys(names))


def day_number(text: str) -> int:
    if text in DAYS:
        return DAYS.index(text)
    if not text.isdecimal() or int(text) > 7:
        raise ValueError(f"{text!r} is no day of the week; write 0 (Sunday) to 6, or sun, mon, ...")
    return int(text)


@dataclass(frozen=True)
class Times:
    """When a schedule's runs are due."""

    schedule: Schedule

    @cached_property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.schedule.time_zone)

    @cached_property
    def triggers(self) -> list[Any]:
        assert self.schedule.cron is not None
        return cron_triggers(self.schedule.cron)

    def after(self, moment: datetime) -> datetime | None:
        """The first time later than `moment`, in the schedule's zone; None where none comes any more."""
        if self.schedule.every is not None:
            length = parse_interval(self.schedule.every)
            return (EPOCH + ((moment - EPOCH) // length + 1) * length).astimezone(self.zone)
        found: datetime | None = None
        for wall in self.walls(self.shown(moment) - JUMP):
            if found is not None and wall > self.shown(found) + JUMP:
                break  # no change of the clock brings a later one before it
            for time in self.meant(wall):
                if time > moment and (found is None or time < found):
                    found = time
        return None if found is None else found.astimezone(self.zone)

    def following(self, moment: datetime) -> Iterator[datetime]:
        """Every time later than `moment`, in order."""
        time = self.after(moment)
        while time is not None:
            yield time
            time = self.after(time)

    def first(self, moment: datetime, count: int) -> list[datetime]:
        return list(islice(self.following(moment), count))

    def walls(self, start: datetime) -> Iterator[datetime]:
        """Wall-clock times without zone from `start` on, in order."""
        now = start.replace(tzinfo=UTC)
        while True:
            nexts = [time for trigger in self.triggers if (time := trigger.get_next_fire_time(None, now)) is not None]
            if not nexts:
                return
            wall = min(nexts)
            yield wall.replace(tzinfo=None)
            now = wall + timedelta(seconds=1)

    def meant(self, wall: datetime) -> list[datetime]:
        """The moments, in UTC, that a wall-clock time means."""
        assert self.schedule.cron is not None
        moments = [wall.replace(tzinfo=self.zone, fold=fold).astimezone(UTC) for fold in (0, 1)]
        if not self.schedule.cron.split()[1].startswith("*"):
            return moments[:1]
        return list(dict.fromkeys(moment for moment in moments if self.shown(moment) == wall))

    def shown(self, moment: datetime) -> datetime:
        """By the wall clock, without zone."""
        return moment.astimezone(self.zone).replace(tzinfo=None)
