"""Positions, for the tests: a message's id, and where a stream starts. Tests count with the number behind the dash, so to them a position is that
number; its text is beside it."""
import functools
import json
import re


class Position(int):
    """The sequence of `ihegr977-7`, with its `text` and `epoch` (milliseconds since 1970)."""

    def __new__(cls, text):
        if not isinstance(text, str):
            raise AssertionError("no position: %r" % (text,))
        return cls._read(text)

    @classmethod
    @functools.lru_cache(10000)      # a message comes to many
    def _read(cls, text):
        found = re.fullmatch(r"([1-9a-z][0-9a-z]{0,12})-(0|[1-9]\d{0,19})", text)
        if not found:
            raise AssertionError("no position: %r" % (text,))
        self = super().__new__(cls, found.group(2))
        self.text, self.epoch = text, int(found.group(1), 36)
        return self


def settled(value):
    """What is in a message, an answer, or a list of them, with positions in it as such."""
    if isinstance(value, list):
        for one in value:
            settled(one)
        return value
    if isinstance(value, dict):
        for name in ("id", "position"):
            if value.get(name) is not None:
                value[name] = Position(value[name])
    return value


GREETINGS = ["janus", "features"], ["janus", "features", "token"]     # without sessions that stay, and with them


def loads(text):
    return settled(json.loads(text))


def start_of(value):
    """Where a stream starts, by its first words; None: these are others."""
    if not isinstance(value, dict) or value.get("ok") is not True or list(value)[:2] != ["ok", "position"]:
        return None
    return value["position"]


def without_position(answer):
    """An answer that must have one, without it."""
    del answer["position"]
    return answer


def missed_of(value):
    """What a subscriber is told it has lost: ("topic", its name, how many), or None: this is something else."""
    if not isinstance(value, dict) or "missed" not in value or "id" in value:
        return None
    if list(value) != ["missed"] or len(value["missed"]) != 2:
        raise AssertionError("what was missed: %r" % (value,))
    (kind, name), (word, messages) = value["missed"].items()
    if kind not in ("topic", "user", "broadcast") or word != "messages" or not isinstance(messages, int) or messages < 1:
        raise AssertionError("what was missed: %r" % (value,))
    return kind, name, messages


class Loses:
    """A client that is told what it has lost: kept apart, in `missed`."""

    missed = ()

    def is_missed(self, value):
        found = missed_of(value)
        if found:
            self.missed += found,
        return found is not None

    def missed_messages(self):
        return sum(n for _, _, n in self.missed)


class Tracks(Loses):
    """A client that keeps the positions of answers, and gives the answers without: `position` is the last one."""

    position = None

    def keep_position(self, value):
        if isinstance(value, dict) and "ok" in value and "position" in value:
            self.position = value.pop("position")
        return value
