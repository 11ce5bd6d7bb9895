"""What a launcher says is understood, and what it does not say is asked for."""

from __future__ import annotations

import pytest

from whyconv.errors import UsageError
from whyconv.machine import num_cores
from whyconv.training.distributed import Launch, launched

SAID = {"RANK": "1", "WORLD_SIZE": "4", "MASTER_ADDR": "host", "MASTER_PORT": "29500"}


def test_without_a_launcher_there_is_none() -> None:
    assert launched({"PATH": "/bin", "MASTER_ADDR": "host"}) is None


def test_what_torchrun_says() -> None:
    said = SAID | {"LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2", "TORCHELASTIC_RESTART_COUNT": "2"}
    said |= {"TORCHELASTIC_RUN_ID": "job"}
    assert launched(said) == Launch(rank=1, size=4, local_rank=1, attempt=2, name="job", num_local=2)


def test_what_others_say_is_enough_and_names_the_launch() -> None:
    found = launched(SAID)
    assert found is not None
    # Without a word of how many a machine has, all might be on one.
    assert (found.rank, found.size, found.local_rank, found.attempt, found.num_local) == (1, 4, 0, 0, 4)
    assert found.name.startswith("host:29500:")
    assert launched(SAID | {"TORCHELASTIC_RUN_ID": "none"}) == found


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"RANK": ""}, "RANK is not set"),
        ({"MASTER_ADDR": "", "MASTER_PORT": ""}, "MASTER_ADDR and MASTER_PORT are not set"),
        ({"RANK": "4"}, "RANK = '4'"),
        ({"RANK": "-1"}, "RANK = '-1'"),
        ({"WORLD_SIZE": "0"}, "WORLD_SIZE = '0'"),
        ({"WORLD_SIZE": "two"}, "WORLD_SIZE = 'two'"),
        ({"MASTER_PORT": "99999"}, "MASTER_PORT = '99999'"),
        ({"LOCAL_RANK": "7"}, "LOCAL_RANK = '7'"),
    ],
)
def test_what_is_missing_or_wrong_is_named(change: dict[str, str], named: str) -> None:
    with pytest.raises(UsageError, match=named):
        launched(SAID | change)


def test_processes_of_a_machine_share_its_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    cores = num_cores()
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert num_cores() == max(1, cores // 2)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "1000")
    assert num_cores() == 1
