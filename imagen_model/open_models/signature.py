"""What diffusers' classes take, read from its source as text: importing diffusers would cost a driver 5 s and torch.

What is unusual: the installed package's files are parsed, not run, so that what is learned is of exactly the version
that the workers will run.
"""

from __future__ import annotations

import ast
import importlib.util
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

INSTALL = "pip install '.[diffusers]' in imagegen's folder"
AUTO = "pipelines/auto_pipeline.py"
CLASS = re.compile(r"^class (\w+)\(", re.MULTILINE)
UNCUT = "untruncated_ids"  # what pipelines only compare with, to warn of what they cut off
LONGEST = "longest"
PREDICTION = re.compile(r"prediction_type == \"(\w+)\"")
# As other programs call them.
SCHEDULERS = {
    "ddim": "DDIMScheduler",
    "ddpm": "DDPMScheduler",
    "deis": "DEISMultistepScheduler",
    "dpm++": "DPMSolverMultistepScheduler",
    "dpm++_single": "DPMSolverSinglestepScheduler",
    "euler": "EulerDiscreteScheduler",
    "euler_a": "EulerAncestralDiscreteScheduler",
    "flow_euler": "FlowMatchEulerDiscreteScheduler",
    "flow_heun": "FlowMatchHeunDiscreteScheduler",
    "heun": "HeunDiscreteScheduler",
    "lcm": "LCMScheduler",
    "lms": "LMSDiscreteScheduler",
    "pndm": "PNDMScheduler",
    "unipc": "UniPCMultistepScheduler",
}
# Draws its noise from a source of its own, which no row's seed reaches.
UNSEEDED = {"DPMSolverSDEScheduler", "CosineDPMSolverMultistepScheduler"}


class NotInstalled(ValueError):
    """diffusers is missing; the message names the command that installs it."""


@dataclass(frozen=True)
class PipelineClass:
    """Args:
    parameters: of `__call__`, name -> default; ... where it has none, None too where it is no plain value.
    bases: names of the classes that it derives from.
    source: text of the file that it stands in.
    """

    name: str
    parameters: dict[str, Any]
    bases: tuple[str, ...]
    source: str


def installed() -> Path:
    """diffusers' own folder.

    Raises:
        NotInstalled: it is not there.
    """
    spec = importlib.util.find_spec("diffusers")
    if spec is None or not spec.submodule_search_locations:
        raise NotInstalled(f"diffusers is not installed; install it with: {INSTALL}")
    return Path(next(iter(spec.submodule_search_locations)))


@cache
def class_files(part: str) -> dict[str, Path]:
    """Class name -> file below diffusers' folder `part` (pipelines, schedulers)."""
    found: dict[str, Path] = {}
    for path in sorted((installed() / part).rglob("*.py")):
        for name in CLASS.findall(path.read_text(encoding="utf-8")):
            found.setdefault(name, path)
    return found


@cache
def pipeline_modules() -> frozenset[str]:
    """Names by which a `model_index.json` may name a module of diffusers' own pipelines."""
    return frozenset(path.name for path in (installed() / "pipelines").iterdir() if path.is_dir())


@cache
def pipeline_class(name: str) -> PipelineClass | None:
    """The pipeline class of that name; None where diffusers has none."""
    path = class_files("pipelines").get(name)
    if path is None:
        return None
    source = path.read_text(encoding="utf-8")
    (found,) = (node for node in ast.parse(source).body if isinstance(node, ast.ClassDef) and node.name == name)
    bases = tuple(base.id for base in found.bases if isinstance(base, ast.Name))
    for node in found.body:
        if isinstance(node, ast.FunctionDef) and node.name == "__call__":
            return PipelineClass(name, parameters_of(node.args), bases, source)
    parents = [parent for base in bases if (parent := pipeline_class(base)) is not None]
    return PipelineClass(name, parents[0].parameters if parents else {}, bases, source)


@cache
def pads_to_longest(name: str) -> bool:
    """Whether the class, or one that it derives from, pads the texts of a batch to its longest: `padding=True`,
    `padding="longest"`, or anything that is decided while it runs."""
    known = pipeline_class(name)
    if known is None:
        return False
    return pads(ast.parse(known.source)) or any(pads_to_longest(base) for base in known.bases)


def pads(node: ast.AST) -> bool:
    if isinstance(node, ast.Assign) and any(isinstance(one, ast.Name) and one.id == UNCUT for one in node.targets):
        return False
    for name, value in named_values(node):
        if name == "padding" and (not isinstance(value, ast.Constant) or value.value is True or value.value == LONGEST):
            return True
    return any(pads(child) for child in ast.iter_child_nodes(node))


def named_values(node: ast.AST) -> list[tuple[object, ast.expr]]:
    """Keywords of a call, or entries of a dictionary that is written out."""
    if isinstance(node, ast.Call):
        return [(one.arg, one.value) for one in node.keywords]
    if isinstance(node, ast.Dict):
        pairs = zip(node.keys, node.values, strict=True)
        return [(key.value, value) for key, value in pairs if isinstance(key, ast.Constant)]
    return []


def parameters_of(arguments: ast.arguments) -> dict[str, Any]:
    names = [argument.arg for argument in arguments.args[1:]]
    defaults = [value_of(node) for node in arguments.defaults]
    found = dict(zip(names, [...] * (len(names) - len(defaults)) + defaults, strict=True))
    pairs = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    return found | {argument.arg: ... if node is None else value_of(node) for argument, node in pairs}


def value_of(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError:
        return None


@cache
def text_to_image(name: str) -> str:
    """The class by which `AutoPipelineForText2Image` runs a model saved as `name` (image-to-image, inpainting);
    `name` itself where it knows no other."""
    tree = ast.parse((installed() / AUTO).read_text(encoding="utf-8"))
    tables: dict[str, dict[str, str]] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and isinstance(node.value, ast.Call):
            pairs = [pair for pair in ast.walk(node.value) if isinstance(pair, ast.Tuple) and len(pair.elts) == 2]
            tables[node.targets[0].id] = {
                str(pair.elts[0].value): pair.elts[1].id
                for pair in pairs
                if isinstance(pair.elts[0], ast.Constant) and isinstance(pair.elts[1], ast.Name)
            }
    wanted = tables.get("AUTO_TEXT2IMAGE_PIPELINES_MAPPING", {})
    if name in wanted.values():
        return name
    for table in tables.values():
        for key, class_name in table.items():
            if class_name == name and key in wanted:
                return wanted[key]
    return name


@cache
def interchangeable() -> frozenset[str]:
    """Schedulers of which any may stand for any other: those of networks that predict noise or velocity."""
    tree = ast.parse((installed() / "schedulers/scheduling_utils.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == "KarrasDiffusionSchedulers":
            names = (target for one in node.body if isinstance(one, ast.Assign) for target in one.targets)
            return frozenset(target.id for target in names if isinstance(target, ast.Name)) | {"LCMScheduler"}
    return frozenset()


@cache
def predictions(name: str) -> frozenset[str]:
    """What networks may predict for the scheduler (`prediction_type`); empty for one that knows a single way."""
    return frozenset(PREDICTION.findall(class_files("schedulers")[name].read_text(encoding="utf-8")))


def check_seeded(name: str) -> None:
    """Raises:
    ValueError: the scheduler's noise comes from where no row's seed reaches.
    """
    if name in UNSEEDED:
        raise ValueError(
            f"scheduler {name} draws noise that no row's seed decides; use one of: {', '.join(SCHEDULERS)}"
        )


def scheduler_class(wanted: str, present: str, predicted: str = "epsilon") -> str:
    """The scheduler's class name.

    Args:
        wanted: as the user says it.
        present: class of the one that the model brings.
        predicted: the `prediction_type` in its configuration.

    Raises:
        ValueError: there is none of that name, it does not fit the model, or a row's seed does not reach it.
    """
    name = SCHEDULERS.get(wanted.lower(), wanted)
    known = ", ".join(SCHEDULERS)
    check_seeded(name)
    if name not in class_files("schedulers") or not name.endswith("Scheduler"):
        raise ValueError(f"there is no scheduler {wanted!r:.60}; use a class of diffusers, or one of: {known}")
    flow = {one for one in (name, present) if one.startswith("FlowMatch")}
    if name != present and not (flow == {name, present} or {name, present} <= interchangeable()):
        raise ValueError(f"scheduler {name} does not fit a model made for {present}; leave scheduler out")
    if predictions(name) and predicted not in predictions(name):
        takes = ", ".join(sorted(predictions(name)))
        raise ValueError(f"scheduler {name} takes {takes}, but this model gives {predicted}; leave scheduler out")
    return name
