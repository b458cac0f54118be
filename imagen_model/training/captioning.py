"""Training a captioner: a small ViT reads the picture, a small BERT writes its alt text. The loop, its checkpoints and
its exact resume are those of the Imagen's stages.

What is unusual: words that the decoder reads are hidden at random, so that each word is found in the picture rather
than guessed from the words before it: "heart" after "red" too, which no training text says. And while it learns, a
layer that is thrown away afterwards reads from every patch which shape and which colour lies there, which the scene
knows: captions alone teach the encoder shapes only slowly.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageDraw
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import (
    BertConfig,
    PreTrainedTokenizerFast,
    VisionEncoderDecoderConfig,
    VisionEncoderDecoderModel,
    ViTConfig,
)
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from ..captioner import Captioner
from ..illustrations.alt_text import vocabulary
from ..illustrations.scene import SHAPES
from ..quiet_loading import quiet_transformers
from .building import step_seed
from .captioning_data import NAMELESS, CaptionBatch, CaptionedDrawings
from .job import InvalidTrainingJob, TrainingJob
from .loop import VALIDATION_SEED_OFFSET, Trainer
from .share import WHOLE, Share

PAD, UNKNOWN, BEGIN, END = 0, 1, 2, 3
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
NO_ANSWER = -100
NUMBERS = (len(SHAPES) + 1, NAMELESS)  # of shapes and of colours, each with "no object"


@dataclass(frozen=True, slots=True)
class CaptionerSizes:
    """Args:
    image_size: side in pixels to which pictures are averaged; patch_size: side of what becomes one token.
    max_tokens: of a caption, with its end.
    hidden_words: share of the words before that the decoder does not see while it learns.
    """

    image_size: int = 32
    patch_size: int = 8
    hidden_size: int = 128
    num_heads: int = 4
    feed_forward_size: int = 512
    encoder_layers: int = 4
    decoder_layers: int = 2
    max_tokens: int = 16
    hidden_words: float = 0.3

    @classmethod
    def of(cls, fields: dict[str, Any]) -> CaptionerSizes:
        """Raises:
        InvalidTrainingJob: an unknown field, or sizes that do not fit together.
        """
        known = [item.name for item in dataclasses.fields(cls)]
        unknown = sorted(set(fields) - set(known))
        if unknown:
            raise InvalidTrainingJob(f"captioner: unknown field {', '.join(unknown)}; known: {', '.join(known)}")
        sizes = cls(**fields)
        for whole, part in (("image_size", "patch_size"), ("hidden_size", "num_heads")):
            if getattr(sizes, whole) % getattr(sizes, part):
                numbers = f"{getattr(sizes, whole)} and {getattr(sizes, part)}"
                raise InvalidTrainingJob(f"captioner: {whole} must be a multiple of {part}, got {numbers}")
        return sizes


def alt_text_tokenizer(limit: int) -> PreTrainedTokenizerFast:
    """One token a word, capitals kept, so that decoding gives the sentence as it is to be read."""
    ids = {token: index for index, token in enumerate([*SPECIAL, ".", *vocabulary()])}
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix="##", cleanup=True)
    tokenizer.post_processor = processors.TemplateProcessing(single="$A [SEP]", special_tokens=[("[SEP]", END)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_max_length=limit,
    )


def new_captioner(sizes: CaptionerSizes) -> Captioner:
    """An untrained captioner of these sizes, drawn from torch's own generator."""
    tokenizer = alt_text_tokenizer(sizes.max_tokens)
    shared: dict[str, Any] = {
        "hidden_size": sizes.hidden_size,
        "num_attention_heads": sizes.num_heads,
        "intermediate_size": sizes.feed_forward_size,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "initializer_range": 0.05,  # transformers' 0.02 is for wider models; here attention would begin all but even
    }
    encoder = ViTConfig(
        image_size=sizes.image_size, patch_size=sizes.patch_size, num_hidden_layers=sizes.encoder_layers, **shared
    )
    decoder = BertConfig(
        vocab_size=len(tokenizer),
        max_position_embeddings=sizes.max_tokens,
        num_hidden_layers=sizes.decoder_layers,
        is_decoder=True,
        add_cross_attention=True,
        **shared,
    )
    config = VisionEncoderDecoderConfig.from_encoder_decoder_configs(encoder, decoder)
    config.pad_token_id, config.decoder_start_token_id, config.eos_token_id = PAD, BEGIN, END
    model = VisionEncoderDecoderModel(config)
    generation = model.generation_config
    generation.pad_token_id, generation.decoder_start_token_id, generation.eos_token_id = PAD, BEGIN, END
    generation.max_length = sizes.max_tokens
    # Averaging: a cell of the drawn world is two whole pixels, however large the picture is.
    processor = ViTImageProcessorPil(
        size={"height": sizes.image_size, "width": sizes.image_size}, resample=Image.Resampling.BOX
    )
    return Captioner(model, processor, tokenizer)


class CaptioningObjective:
    """Cross-entropy of a word, plus that of a patch's shape and colour, in nats."""

    def __init__(self, captioner: Captioner, job: TrainingJob, sizes: CaptionerSizes, device: torch.device) -> None:
        self.captioner, self.job, self.sizes, self.device = captioner, job, sizes, device
        self.module: nn.Module = captioner.model
        self.run: Any = torch.compile(captioner.model) if job.compile else captioner.model

    def data(self, seed: int, steps: int, held_out: bool = False, share: Share = WHOLE) -> CaptionedDrawings:
        return CaptionedDrawings(seed, self.job.batch_size, self.sizes.image_size, steps)

    def loss(self, batch: CaptionBatch, share: Share = WHOLE) -> Tensor:
        ids = self.captioner.tokenizer(list(batch.texts), padding="max_length", return_tensors="pt").input_ids
        before = torch.cat((torch.full((len(ids), 1), BEGIN), ids[:, :-1]), 1)
        hidden = (torch.rand(before.shape) < self.sizes.hidden_words) & (before > END)
        before = before.masked_fill(hidden, UNKNOWN)
        answers = ids.masked_fill((ids == PAD) | (ids == UNKNOWN), NO_ANSWER)
        pixels = batch.pictures.float() / 127.5 - 1  # what the image processor makes of them
        output = self.run(pixel_values=pixels.to(self.device), decoder_input_ids=before.to(self.device))
        words = cross_entropy(output.logits.flatten(0, 1), answers.flatten())
        return words + self.reading_loss(output.encoder_last_hidden_state[:, 1:], batch.cells)

    def reading_loss(self, patches: Tensor, cells: Tensor) -> Tensor:
        """(batch, patches, hidden) states beside the (batch, 2, 16, 16) cells that they should tell of."""
        side = self.sizes.image_size // self.sizes.patch_size
        shapes, colours = F.adaptive_max_pool2d(cells.float(), side).long().flatten(2).unbind(1)
        colours = colours.masked_fill(colours == NAMELESS, NO_ANSWER)
        said = self.module.get_submodule("reading")(patches).flatten(0, 1)
        return cross_entropy(said[:, : NUMBERS[0]], shapes.flatten()) + cross_entropy(
            said[:, NUMBERS[0] :], colours.flatten()
        )

    def figures(self, validation_loss: float) -> dict[str, float]:
        return {}


def cross_entropy(logits: Tensor, answers: Tensor) -> Tensor:
    return F.cross_entropy(logits.float(), answers.to(logits.device), ignore_index=NO_ANSWER)


class CaptionTrainer(Trainer):
    """One run of `imagegen train` whose job has `captioner`."""

    def build(self) -> tuple[Any, Any]:
        sizes = CaptionerSizes.of(self.job.captioner or {})
        torch.manual_seed(step_seed(self.job.seed, -1))
        self.captioner = new_captioner(sizes)
        model = self.captioner.model
        model.reading = nn.Linear(sizes.hidden_size, sum(NUMBERS))
        model.to(self.device)
        return model, CaptioningObjective(self.captioner, self.job, sizes, self.device)

    def save_model(self, folder: Path) -> None:
        with quiet_transformers():
            self.captioner.save_pretrained(folder, without="reading.")

    def sample_grid(self) -> Image.Image:
        """Sixteen drawings that were never trained on, each above its caption."""
        self.model.eval()
        side, text = 128, 28
        drawings = CaptionedDrawings(self.job.seed + VALIDATION_SEED_OFFSET, 16, self.objective.sizes.image_size, 1)[0]
        pictures = [Image.fromarray(one.permute(1, 2, 0).numpy()) for one in drawings.pictures]
        grid = Image.new("RGB", (4 * side * 2, 4 * (side + text)), (60, 60, 60))
        pen = ImageDraw.Draw(grid)
        for index, (picture, result) in enumerate(zip(pictures, self.captioner.caption(pictures), strict=True)):
            left, top = index % 4 * side * 2, index // 4 * (side + text)
            grid.paste(picture.resize((side, side), Image.Resampling.NEAREST), (left, top))
            words = result.text.split()
            for row, line in enumerate((words[:6], words[6:])):
                pen.text((left + 2, top + side + 12 * row), " ".join(line), fill=(255, 255, 255))
        return grid
