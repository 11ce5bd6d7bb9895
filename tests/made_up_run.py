"""A made-up run, with every part of a report filled, from one seed."""

from __future__ import annotations

import numpy as np

from whyconv.counting import Axis, Convolution, Graph, Node
from whyconv.counting.network import count_network
from whyconv.report import LayerRow, MistakenPicture, ReportContent, SeenPicture, SuspectPicture
from whyconv.results import (
    Acceptance,
    Calibration,
    CheckReport,
    ClassCount,
    ClassScore,
    Confusion,
    DebiasedError,
    DuplicateGroup,
    EpochRecord,
    Estimate,
    Evaluation,
    Note,
    Parity,
    RunSummary,
    Search,
    SearchTrial,
    SetScore,
    Setting,
    SizeRange,
    Suspect,
    Suspects,
    Unreadable,
    WrongAnswer,
)
from whyconv.results.network import NetworkReport

FLOWERS = ("daisy", "dandelion", "roses", "sunflowers", "tulips")
KOREAN = ("고양이", "강아지", "햄스터", "앵무새")
# Names that a page must take as text; of different beginnings, as classes are told apart by name.
PAYLOADS = [
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(1)</script>",
    "</title><svg onload=alert(1)>",
    '" onmouseover="alert(1)',
    "javascript:alert(1)",
    "{{ 7 * 7 }}{% raw %}",
    "photo\u202egpj.exe",
    "nul\x00.jpg",
    "\udcff.jpg",
    "a" * 10_000 + ".jpg",
]


def estimate(right: int, n: int) -> Estimate:
    """Wilson's interval, so that the numbers of the sample hang together."""
    share, z = right / n, 1.96
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return Estimate(value=share, low=max(0.0, middle - half), high=min(1.0, middle + half), n=n)


def gap(value: float, n: int) -> Estimate:
    """A calibration error with an interval that is not its own."""
    return Estimate(value=value, low=0.8 * value, high=1.5 * value, n=n)


def search() -> Search:
    """Four settings; the last round is left to two."""
    trials = [
        SearchTrial(
            number=number,
            round=turn,
            epochs=2**turn,
            setting=Setting(
                learning_rate=0.02 * 2**number, weight_decay=0.0, widths=[64, 256], filter_size=3 + number % 2 * 2
            ),
            loss=0.9 - 0.1 * turn - 0.02 * number if number != 3 else None,
            accuracy=estimate(40 + number, 60) if number != 3 else None,
            seconds=4.0 * turn,
            is_kept=number in ((0, 2) if turn == 1 else (2,)),
        )
        for turn, going in ((1, (0, 1, 2, 3)), (2, (0, 2)))
        for number in going
    ]
    return Search(trials=trials, chosen=2, gain=0.04, gain_error=0.01, seconds=32.0)


def evaluation(names=FLOWERS, part="test", per_class=60, seed=0) -> Evaluation:
    """Counts from a made-up recognizer that confuses neighbors."""
    random, k = np.random.default_rng(seed), len(names)
    counts = np.zeros((k, k), int)
    for row in range(k):
        shares = np.full(k, 0.02 / k)
        shares[row] += 0.86
        shares[(row + 1) % k] += 0.09
        counts[row] = random.multinomial(per_class + row, shares / shares.sum())
    n, right = int(counts.sum()), int(counts.trace())
    scores = [
        ClassScore(
            name=name,
            n=int(counts[i].sum()),
            recall=estimate(int(counts[i, i]), int(counts[i].sum())),
            precision=estimate(int(counts[i, i]), int(counts[:, i].sum())) if counts[:, i].sum() else None,
        )
        for i, name in enumerate(names)
    ]
    pairs = sorted(((int(counts[a, b]), a, b) for a in range(k) for b in range(k) if a != b), reverse=True)[:8]
    return Evaluation(
        part=part,
        n=n,
        accuracy=estimate(right, n),
        balanced_accuracy=estimate(right, n),
        largest_class=names[-1],
        largest_class_fraction=(per_class + k - 1) / n,
        loss=0.4137,
        classes=scores,
        confusion=counts.tolist(),
        most_confused=[Confusion(truth=names[a], answer=names[b], count=c) for c, a, b in pairs if c],
        num_sure_and_wrong=1,
        surest_wrong=[WrongAnswer(name="test/a.jpg", truth=names[0], answer=names[1], probability=0.991)],
        calibration=Calibration(temperature=1.34, error_before=gap(0.071, n), error_after=gap(0.022, n), n_fit=400),
        debiased=DebiasedError(value=0.004, low=-0.008, high=0.011, bias=0.018, n=n, num_bins=15),
        sets=SetScore(
            level=0.95,
            coverage=estimate(right, n),
            bare_coverage=estimate(right - 1, n),
            low=0.92,
            high=0.97,
            mean_size=1.31,
            n_fit=400,
        ),
        acceptance=Acceptance(
            accepted=estimate(n - 9, n),
            low=0.92,
            high=0.98,
            accuracy_accepted=estimate(right - 4, n - 9),
            accuracy_unsure=estimate(4, 9),
            n_fit=400,
        ),
    )


def epochs(num=20) -> list[EpochRecord]:
    return [
        EpochRecord(
            epoch=i + 1,
            num_epochs=num,
            step=60 * (i + 1),
            loss=1.5 * 0.88**i,
            train_accuracy=1 - 0.65 * 0.88**i,
            validation_loss=1.45 * 0.9**i + 0.0015 * i * i,
            validation_accuracy=0.86 - 0.55 * 0.82**i,
            learning_rate=0.01,
            seconds=30.0 * (i + 1),
            is_best=i == 14,
        )
        for i in range(num)
    ]


def check(names=FLOWERS, **changes) -> CheckReport:
    group = DuplicateGroup(
        names=["a/1.jpg", "a/2.jpg"], kind="exact", labels=["daisy", "daisy"], parts=["train", "train"]
    )
    near = group.model_copy(update={"kind": "near", "names": [f"b/{i}.jpg" for i in range(9)]})
    leak = group.model_copy(update={"parts": ["train", "test"]})
    fields = {
        "where": "flowers",
        "layout": Note(key="layout_folders"),
        "num_pictures": 3662,
        "classes": [
            ClassCount(name=name, num_pictures=600 + 90 * i, num_by_part={"train": 500 + 90 * i, "test": 100})
            for i, name in enumerate(names)
        ],
        "widths": SizeRange(min=143, median=320, max=1024),
        "heights": SizeRange(min=159, median=240, max=442),
        "channels": "color",
        "num_gray": 12,
        "formats": {"jpeg": 3650, "png": 12},
        "num_turned": 7,
        "num_scaled": 0,
        "num_alpha": 2,
        "num_animated": 0,
        "unreadable": [
            Unreadable(name="tulips/broken.jpg", reason="the file ends after 1,024 of 48,211 bytes"),
            Unreadable(name="roses/notes.jpg", reason="not a picture: begins with 'Dear'"),
        ],
        "duplicates": [group, near],
        "mirrored": [("a/3.jpg", "a/4.jpg")],
        "leaks": [leak],
        "conflicts": [group.model_copy(update={"labels": ["daisy", "roses"]})],
        "skipped": ["__MACOSX", ".cache"],
        "notes": [],
        "seconds": 4.0,
    }
    return CheckReport(**fields | changes)


def picture(seed: int, side=32, channels=3) -> np.ndarray:
    """A blurred random blob: something to look at."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:side, 0:side] / side
    center, color = random.random(2), random.integers(60, 255, channels)
    blob = np.exp(-(((x - center[0]) ** 2 + (y - center[1]) ** 2) * 12))[..., None]
    return np.rint(blob * color + (1 - blob) * 40).astype(np.uint8)


def network(num_layers: int = 3, unknown: int = 0) -> NetworkReport:
    """A convolution, called again and again, and a dense layer."""
    axis = Axis(96, 3, padding=(1, 1))
    nodes = [
        Node(f"stage{i}", "convolution", "conv", "window", ("x",), ("x",), convolution=Convolution((axis,) * 2, 3, 3))
        for i in range(num_layers - 1)
    ]
    nodes += [Node("head", "linear", "linear", "all", ("x",), ("y",), convolution=Convolution((), 27648, 5))]
    nodes += [Node(f"odd{i}", "not_analyzed", "odd", "unknown", ("x",), ("x",), reason="odd") for i in range(unknown)]
    shapes = {"x": (1, 3, 96, 96), "y": (1, 5)}
    return count_network(Graph(("x",), ("y",), tuple(nodes), shapes), "made up")


# A run of which only the least is known.
BARE = RunSummary(
    run="runs/x-1",
    network="plain",
    num_parameters=10,
    best_epoch=1,
    num_epochs=1,
    seconds=1,
    stopped="",
    validation=None,
    test=None,
    parity=None,
)


def content(names=FLOWERS, **changes) -> ReportContent:
    """A full report; ``changes`` replace fields."""
    random = np.random.default_rng(1)
    test = evaluation(names)
    summary = RunSummary(
        run="runs/flowers-1",
        network="plain",
        num_parameters=287_461,
        best_epoch=15,
        num_epochs=20,
        seconds=607.4,
        stopped="planned",
        validation=evaluation(names, "validation", seed=3),
        test=test,
        parity=Parity(n=test.n, num_same_answer=test.n, largest_difference=2.4e-7, tolerance=1e-4),
        suspects=Suspects(n=3000, num_pictures=3059, num_doubted=81, num_sure=23, first=suspects(names)),
    )
    fields = {
        "run": "flowers-1",
        "summary": summary,
        "epochs": epochs(),
        "losses": 1.6 * np.exp(-np.arange(1200) / 400) + 0.15 * random.random(1200),
        "plan": {
            "network": "plain", "side": 96, "channels": 3, "fit": "letterbox", "batch": 64, "epochs": 20,
            "optimizer": "momentum", "formula": "v = 0.9 v + dW;  W = W - rate v", "learning_rate": 0.05,
            "weight_decay": 5e-4, "balance": "none", "flips": True, "seed": 0, "threads": 2, "num_train": 2600,
            "num_validation": 459, "num_test": test.n, "crops": {"pad": 4},
        },
        "check": check(names),
        "seen": [SeenPicture(picture(i), f"train/{i}.jpg", names[i % len(names)]) for i in range(12)],
        "most_confused": [
            MistakenPicture(picture(40 + i), f"test/{i}.jpg", names[0], names[1], 0.99 - 0.02 * i) for i in range(6)
        ],
        "suspects": [SuspectPicture(picture(60 + i), each) for i, each in enumerate(suspects(names))],
        "detectors": random.normal(size=(16, 3, 3, 3)),
        "layers": [
            LayerRow("stage1.conv", "Conv2d 3x3", (32, 96, 96), 896),
            LayerRow("pool", "global average", (128,), 0),
            LayerRow("head", "Linear", (len(names),), 645),
        ],
        "network": network(),
        "search": search(),
        "environment": {"whyconv": "0.1.0", "torch": "2.13.0", "python": "3.11.2", "threads": 2},
    }  # fmt: skip
    return ReportContent(**fields | changes)


def suspects(names: tuple[str, ...]) -> list[Suspect]:
    """Doubtful labels of three parts, under every class."""
    parts = ("train", "test", "validation")
    return [
        Suspect(
            name=f"{parts[i % 3]}/{name}",
            part=parts[i % 3],
            label=name,
            likely=names[i - 1],
            probability_label=0.02 * i,
            probability_likely=0.98 - 0.03 * i,
            is_sure=i < 2,
        )
        for i, name in enumerate(names)
    ]


def hostile() -> ReportContent:
    """A run whose every name wants to be more than a name."""
    names = tuple(PAYLOADS)
    return content(
        names,
        run=PAYLOADS[0],
        seen=[SeenPicture(picture(0), name, name) for name in names],
        most_confused=[MistakenPicture(picture(0), name, name, name, 0.9) for name in names],
        check=check(names, unreadable=[Unreadable(name=name, reason=name) for name in names], skipped=list(names)),
        environment={name: name for name in names},
        plan={name: name for name in names},
        statements={"license": PAYLOADS[0]},
    )
