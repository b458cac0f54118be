"""What a picture's file says of its making: that a model made it, and from what.

A label depends on the model and the request alone: no time, row number, id or worker goes in, so that a prompt and a
seed give one file wherever they stand in a table, and online.

    provenance   XMP: IPTC's DigitalSourceType `trainedAlgorithmicMedia`, AISystemUsed and AISystemVersionUsed
    full         that, all values of the request as JSON, and A1111's text of parameters

IPTC: https://iptc.org/std/photometadata/specification/ (2025.1). A1111's grammar is that of its infotext_utils.py.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from xml.sax.saxutils import quoteattr

from imagen_model.generation import PARAMETERS, GenerationRequest

from .errors import InvalidJob

NONE, PROVENANCE, FULL = LEVELS = ("none", "provenance", "full")
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
OWN_NAMESPACE = "urn:imagegen:"
FACTS = ("prompt", "negative_prompt", "seed", "width", "height", *PARAMETERS, "post_processing")
# As A1111 and its readers name them; others by their own names. Readers (sd-parsers) take no text without a sampler.
NAMES = {
    "num_inference_steps": "Steps",
    "sampler": "Sampler",
    "guidance_scale": "CFG scale",
    "seed": "Seed",
    "size": "Size",
    "model": "Model",
}
PROGRAM = "imagegen"  # the sampler is the model's own, whatever that is

NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Label:
    """The texts for one picture's file; the last two are None where only its provenance is told.

    Args:
        xmp: a packet; `xmp_with_facts` one for files that have no other place for `facts`.
        facts: the request and the model as one JSON object.
        parameters: the same in A1111's grammar.
    """

    xmp: str
    xmp_with_facts: str
    facts: str | None = None
    parameters: str | None = None


@dataclass(frozen=True, slots=True)
class Provenance:
    """Args:
        model, revision: of the model really used.
        level: `none`, `provenance` or `full`.

    Raises:
        InvalidJob: another level.
    """

    model: str
    revision: str
    level: str = NONE

    def __post_init__(self) -> None:
        if self.level not in LEVELS:
            raise InvalidJob(f"metadata must be one of {', '.join(LEVELS)}, got {self.level!r}")

    def label(self, request: GenerationRequest) -> Label | None:
        """Args:
        request: resolved; its width and height are those asked of the model.
        """
        if self.level == NONE:
            return None
        if self.level == PROVENANCE:
            packet = self.xmp(None)
            return Label(packet, packet)
        facts = self.facts(request)
        text = json.dumps(facts, ensure_ascii=False, separators=(",", ":"))
        return Label(self.xmp(None), self.xmp(text), text, parameters(facts))

    def facts(self, request: GenerationRequest) -> dict[str, object]:
        """What is known, without what is not given."""
        given = {name: getattr(request, name) for name in FACTS}
        given["grey_image_sha256"] = None if request.grey is None else request.grey.sha256
        facts = {name: plain(value) for name, value in given.items() if value not in (None, "")}
        return facts | {"model": self.model, "model_revision": self.revision}

    def xmp(self, facts: str | None) -> str:
        own = "" if facts is None else f' xmlns:imagegen="{OWN_NAMESPACE}" imagegen:facts={attribute(facts)}'
        return (
            '<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?>'
            '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
            '<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" '
            f'Iptc4xmpExt:DigitalSourceType="{SOURCE_TYPE}" '
            f"Iptc4xmpExt:AISystemUsed={attribute(self.model)} "
            f"Iptc4xmpExt:AISystemVersionUsed={attribute(self.revision)}{own}/>"
            '</rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
        )


def plain(value: object) -> object:
    """2.0 as 2: a column of numbers, a flag and a browser write one value in different ways."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def parameters(facts: dict[str, object]) -> str:
    """A1111's text: the prompt, a line `Negative prompt: ...` where there is one, and one line of settings."""
    known = facts | {"sampler": PROGRAM, "size": f"{facts['width']}x{facts['height']}"}
    others = [name for name in (*PARAMETERS, "post_processing", "model_revision") if name not in NAMES]
    labels = NAMES | {name: name.capitalize().replace("_", " ") for name in others}
    settings = [f"{label}: {quoted(str(known[name]))}" for name, label in labels.items() if name in known]
    negative = [f"Negative prompt: {facts['negative_prompt']}"] if "negative_prompt" in facts else []
    return "\n".join([str(facts["prompt"]), *negative, ", ".join([*settings, f"Version: {PROGRAM}"])])


def quoted(value: str) -> str:
    return json.dumps(value, ensure_ascii=False) if re.search(r'[,:\n"]', value) else value


def attribute(text: str) -> str:
    """Text as a quoted XML attribute; what XML 1.0 cannot hold stands as JSON's escape."""
    return quoteattr(NOT_XML.sub(lambda found: f"\\u{ord(found[0]):04x}", text))
