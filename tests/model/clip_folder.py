"""A tiny random CLIP of transformers' own classes, in a folder as a real one lies there."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import CLIPConfig, CLIPModel
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from imagen_model.tokenizers import SPECIAL, word_tokenizer

WORDS = ["a", "red", "blue", "circle", "square"]


def write_clip(folder: Path) -> Path:
    tokenizer = word_tokenizer(WORDS, 12)
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    ends = {"bos_token_id": SPECIAL.index("[CLS]"), "eos_token_id": SPECIAL.index("[SEP]")}
    text = {**sizes, **ends, "vocab_size": len(tokenizer), "max_position_embeddings": 12}
    vision = {**sizes, "image_size": 16, "patch_size": 8}
    torch.manual_seed(3)
    CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=8)).save_pretrained(folder)
    CLIPImageProcessorPil(size={"shortest_edge": 16}, crop_size=16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
