"""Transports are reset in forked children, as long as they live."""

from __future__ import annotations

import gc

import pytest

from airplane_runbooks.transports import base


class Resettable:
    resets = 0

    def reset(self) -> None:
        self.resets += 1


def test_living_transports_are_reset_and_others_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "_resets", set())
    transport = Resettable()
    base.call_in_children(transport.reset)
    base.call_in_children(Resettable().reset)
    gc.collect()

    assert len(base._resets) == 1
    base._resets.add(lambda: None)  # one that is being collected at this moment
    base._reset_transports()
    assert transport.resets == 1
