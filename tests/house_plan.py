"""Who may import whom, and which packages of others: the plan that house_rules.py holds the package to."""

from __future__ import annotations

GROUND_FLOOR = ("errors", "results", "settings", "files", "lock", "texts", "machine", "untrusted")

# Part of the package -> what it may import besides itself and the ground floor.
MAY_IMPORT: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(GROUND_FLOOR, ()),
    "images": (),
    "counting": ("onnx_file",),
    "nets": (),
    "predictions": (),
    "answer_sets": (),
    "onnx_file": (),
    "model_file": ("images", "onnx_file"),
    "recognizer": ("images", "model_file", "onnx_file", "predictions", "answer_sets"),
    "evidence": ("counting", "images", "model_file", "onnx_file", "recognizer"),
    "report": (),
    "novelty": ("answer_sets", "model_file"),
    "promises": ("answer_sets", "novelty", "onnx_file", "recognizer", "model_file", "training"),
    "training": ("nets", "images", "inspection", "answer_sets"),
    "measures": ("counting", "nets.layers", "nets.twins", "images", "training.intervals"),
    "export": ("nets", "training", "measures", "counting", "onnx_file", "recognizer", "model_file", "images"),
    "exporting": ("export", "images", "model_file", "nets", "onnx_file", "pretrained", "recognizer", "training"),
    "study": ("training", "nets", "counting", "measures", "images"),
    "web": ("recognizer", "evidence", "counting", "images", "model_file", "onnx_file"),
    "cluster": ("recognizer", "images", "predictions"),
    "demo": (),
    "doctor": ("show",),
    "show": (),
    "inspection": ("images",),
    "anatomy": ("counting", "measures", "nets", "training", "model_file", "images"),
    "progress": ("show",),
    "scoring": ("images", "inspection", "training", "promises", "suspecting", "recognizer", "model_file"),
    "planning": ("images", "nets", "training", "measures"),
    "pretrained": ("images", "inspection", "nets", "onnx_file", "training", "planning", "model_file"),
    "spare_time": ("planning", "training"),
    "reporting": ("training", "planning", "report", "measures", "counting", "nets"),
    "finishing": (
        *("images", "nets", "training", "measures", "export", "reporting"),
        *(
            "scoring",
            "scoring_together",
            "planning",
            "pretrained",
            "promises",
            "lookups",
            "suspecting",
            "onnx_file",
            "recognizer",
        ),
        "model_file",
    ),
    "own_networks": ("images", "nets", "training", "export", "onnx_file"),
    "suspecting": ("images", "onnx_file", "training", "planning", "predictions", "pretrained", "recognizer"),
    "lookups": ("images", "training", "export", "planning", "promises", "recognizer", "predictions"),
    "telling": ("images", "planning", "training"),
    "dense_twin_file": ("export", "model_file", "study"),
    "explaining": (
        *("images", "dense_twin_file", "dissecting", "explained", "moving", "nets", "report", "study", "training"),
    ),
    "explained": ("report",),
    "atlas": ("demo", "explaining", "images", "inspection", "report", "study", "training"),
    "dissecting": ("measures", "study"),
    "moving": ("images", "measures", "pretrained", "recognizer", "training"),
    "together": ("planning", "training", "scoring_together"),
    "scoring_together": ("planning", "training", "recognizer"),
    "carrying_out": ("finishing", "planning", "pretrained", "telling", "together", "training"),
    "workflow": (
        *("images", "inspection", "nets", "training", "export", "report", "carrying_out", "together"),
        *("planning", "spare_time", "pretrained", "finishing", "explaining", "explained", "scoring", "telling"),
        *("recognizer", "own_networks"),
        "model_file",
    ),
    "estimator": ("workflow", "export", "recognizer", "model_file", "images"),
    "cli": ("*",),
    "__main__": ("cli",),
    "": ("*",),  # __init__.py of the package: names handed out when asked for
}
# Where the ground floor is not open in full.
GROUND_OF = {"report": ("results", "texts", "files")}

TORCH_FREE = (
    *GROUND_FLOOR,
    "images",
    "counting",
    "anatomy",
    "predictions",
    "answer_sets",
    "onnx_file",
    "model_file",
    "recognizer",
    "evidence",
    "inspection",
    "web",
    "cluster",
)

_TORCH_HALF = (
    *("nets", "training", "measures", "study", "export", "exporting"),
    *(
        "planning",
        "pretrained",
        "finishing",
        "lookups",
        "suspecting",
        "explaining",
        "dense_twin_file",
        "dissecting",
        "moving",
        "promises",
        "reporting",
        "scoring",
        "telling",
        "own_networks",
        "carrying_out",
        "together",
        "scoring_together",
        "workflow",
        "estimator",
    ),
)
# Package of others -> the parts that may import it.
USED_BY: dict[str, tuple[str, ...]] = {
    "torch": (*_TORCH_HALF, "cli", "anatomy"),
    "onnx": ("export", "exporting", "counting", "pretrained", "novelty"),
    "onnxscript": ("export",),
    "safetensors": ("training", "export"),
    "sklearn": ("estimator", "demo", "study"),
    "scipy": ("training", "measures", "study"),
    "matplotlib": ("report",),
    "jinja2": ("report",),
    "onnxruntime": ("onnx_file.running",),  # where it is told to report nothing
    "PIL": ("images", "demo", "report", "workflow"),
    "simplejpeg": ("images",),
    "pillow_heif": ("images",),
    "h5py": ("images.sources",),
    "pyarrow": ("images.sources", "images.shards", "predictions", "cluster"),
    "typer": ("cli",),
    "rich": ("cli", "progress", "show"),
    "starlette": ("web", "cli"),
    "uvicorn": ("web", "cli"),
    "python_multipart": ("web", "cli"),
    "ray": ("cluster",),
}
# Brought by extras, or slow to import: in these parts only inside functions.
OPTIONAL = ("h5py", "pyarrow", "pillow_heif")
SLOW = ("torch", "onnx", "onnxscript", "matplotlib", "sklearn", "scipy", "onnxruntime", "jinja2", "safetensors")
