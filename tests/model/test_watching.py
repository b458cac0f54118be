"""Pictures seen while they are drawn: the same pictures."""

from __future__ import annotations

from PIL import Image

from imagen_model import Imagen
from imagen_model.generation import GenerationRequest, Grouping, Success, Watchable
from imagen_model.imagen_generator import ImagenGenerator


def test_a_watched_picture_is_the_same_and_grows_line_by_line() -> None:
    generator = ImagenGenerator(Imagen.from_pretrained("imagen-small"))
    assert isinstance(generator, Watchable) and isinstance(generator, Grouping)
    requests = [GenerationRequest("a red circle", seed, width=16, height=16) for seed in range(2)]
    seen: list[tuple[float, Image.Image]] = []
    watched = generator.generate_watched(requests, {1: lambda share, paint: seen.append((share, paint()))})
    plain = generator.generate(requests)
    for one, other in zip(watched, plain, strict=True):
        assert isinstance(one, Success) and isinstance(other, Success)
        assert one.image.tobytes() == other.image.tobytes()
    assert [share for share, _ in seen] == [line / 16 for line in range(1, 17)]
    final = watched[1]
    assert isinstance(final, Success)
    for line, (_, picture) in enumerate(seen, start=1):
        assert picture.crop((0, 0, 16, line)).tobytes() == final.image.crop((0, 0, 16, line)).tobytes()
        if line < 16:
            assert picture.crop((0, line, 16, 16)).getcolors() == [((16 - line) * 16, (128, 128, 128))]
